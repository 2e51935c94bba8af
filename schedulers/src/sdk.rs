//! What a policy is written against: the [`Algorithm`] trait and the [`Instance`] that runs one.
//!
//! An author implements [`Algorithm`]; the instance keeps the table of real servers, reads the
//! packed encoding and tells the algorithm what changed. It does not validate answers: hosts do.

mod instance;
mod parameters;
mod servers;

pub use instance::Instance;
pub use parameters::{Accepts, ParameterSpec, Setup};
pub use servers::{Change, Place, Servers, is_usable};

use alloc::string::String;

use equipoise_core::{Address, Needs, Protocol, Request, Server};

/// A load-balancing algorithm.
pub trait Algorithm: Sized {
    /// Its name, as in `ipvsadm -s`; also the name of its file and component.
    const NAME: &'static str;
    /// What it does, in one line for people who choose.
    const SUMMARY: &'static str;
    /// What it reads; everything else may be zero.
    const NEEDS: Needs;
    /// The parameters it takes.
    const PARAMETERS: &'static [ParameterSpec] = &[];
    /// How it means to share connections out.
    const PROMISE: Promise;
    /// Whether it chooses a server for every connection, as long as all servers are usable and there
    /// are at most 250. Replays of such algorithms can share one connection table.
    const ALWAYS_CHOOSES: bool = false;
    /// Whether the kernel's IPVS has a scheduler of this name, which decides the same.
    const IN_IPVS: bool = true;

    /// Whether connections wait for their first request: [`Algorithm::schedule_request`] decides.
    const READS_REQUESTS: bool = false;

    /// A fresh algorithm without servers. Keys and values of `setup` are checked already; an error
    /// is shown to the user as it is.
    fn configure(setup: &Setup<'_>) -> Result<Self, String>;

    /// The list of servers was replaced, for the reason that `change` gives.
    fn servers_changed(&mut self, change: Change, servers: &Servers) {
        let _ = (change, servers);
    }

    /// The counters of the server at `place` changed.
    #[inline]
    fn counters_changed(&mut self, place: Place, server: &Server) {
        let _ = (place, server);
    }

    /// The overload flag of the server at `place` was set or cleared; called after its counters.
    fn flag_changed(&mut self, place: Place, server: &Server) {
        let _ = (place, server);
    }

    /// The place of the server for one connection; none refuses it.
    fn schedule(&mut self, servers: &Servers, arrival: &Arrival) -> Option<Place>;

    /// The place of the server for one connection whose client asked for this first. Only with
    /// [`Algorithm::READS_REQUESTS`]; connections without a request that could be read go to
    /// [`Algorithm::schedule`].
    fn schedule_request(
        &mut self,
        servers: &Servers,
        arrival: &Arrival,
        request: &Request<'_>,
    ) -> Option<Place> {
        let _ = request;
        self.schedule(servers, arrival)
    }
}

/// Which share of the connections an algorithm promises to each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// In proportion to the weights.
    Weights,
    /// The same to each server that takes connections.
    Equal,
    /// No share: the decision follows something else.
    None,
}

/// One connection to decide. What [`Algorithm::NEEDS`] does not name may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Microseconds from the origin that `configure` used.
    pub now_us: u64,
    /// Who connects.
    pub client: Address,
    /// From which port.
    pub client_port: u16,
    /// Where to, as the client wrote it.
    pub destination: Address,
    /// To which port.
    pub destination_port: u16,
    /// Over what.
    pub protocol: Protocol,
    /// Firewall mark of the packet, 0 without one.
    pub mark: u32,
}
