//! The TCP state machine of IPVS: three views of a connection, one table each.
//!
//! Source: `ip_vs_proto_tcp.c` (tables `tcp_states`, timeouts `tcp_timeouts`), as restated in the
//! project's specification. `secure_tcp`'s second set of tables is not here.

use core::fmt;

use crate::{TcpFlags, Timeouts};

/// State of a connection, numbered as in the kernel; `Udp` stands for protocols without states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Before the first packet.
    None = 0,
    /// Both sides may send.
    Established = 1,
    /// The server has sent a SYN.
    SynSent = 2,
    /// The client has sent a SYN.
    SynRecv = 3,
    /// One side has closed, the server first (or, with input only, the client).
    FinWait = 4,
    /// Both sides have closed.
    TimeWait = 5,
    /// Reset, or never properly open.
    Close = 6,
    /// The client has closed first.
    CloseWait = 7,
    /// Not reached by any transition from outside, kept for its number.
    LastAck = 8,
    /// Not reached by any transition from outside, kept for its number.
    Listen = 9,
    /// Only with `secure_tcp`, kept for its number.
    SynAck = 10,
    /// The one state of UDP.
    Udp = 11,
}

use State::{
    Close, CloseWait, Established, FinWait, LastAck, Listen, None, SynAck, SynRecv, SynSent,
    TimeWait,
};

impl State {
    /// Whether a TCP connection in this state counts as active (`tcp_state_active_table`).
    pub const fn is_active(self) -> bool {
        matches!(self, Established | SynSent | SynRecv | SynAck)
    }

    /// How long the connection lives without a packet, in seconds.
    pub const fn timeout_s(self, set: &Timeouts) -> u32 {
        match self {
            None => 2,
            Established => set.tcp_s,
            FinWait => set.tcp_fin_s,
            SynSent | TimeWait | Listen | SynAck => 120,
            SynRecv | CloseWait => 60,
            Close => 10,
            LastAck => 30,
            State::Udp => set.udp_s,
        }
    }
}

/// As `ipvsadm -Lc` names it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            None => "NONE",
            Established => "ESTABLISHED",
            SynSent => "SYN_SENT",
            SynRecv => "SYN_RECV",
            FinWait => "FIN_WAIT",
            TimeWait => "TIME_WAIT",
            Close => "CLOSE",
            CloseWait => "CLOSE_WAIT",
            LastAck => "LAST_ACK",
            Listen => "LISTEN",
            SynAck => "SYNACK",
            State::Udp => "UDP",
        })
    }
}

/// What the director sees of the connection when the packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// Client to server, and the replies are seen as well.
    Input,
    /// Server to client.
    Output,
    /// Client to server, and the replies take another way (direct routing, tunneling).
    InputOnly,
}

impl State {
    /// How many there are.
    pub(crate) const COUNT: usize = 12;
    /// All of them, at their numbers.
    pub(crate) const ALL: [Self; Self::COUNT] = [
        None,
        Established,
        SynSent,
        SynRecv,
        FinWait,
        TimeWait,
        Close,
        CloseWait,
        LastAck,
        Listen,
        SynAck,
        Self::Udp,
    ];
}

/// The flags that matter here are among the lowest five.
const FLAG_SETS: usize = 1 << 5;

/// [`rule`] by view, state and flags: every packet asks.
static NEXT: [[[State; FLAG_SETS]; State::COUNT]; 3] = {
    let mut table = [[[State::Udp; FLAG_SETS]; State::COUNT]; 3];
    let mut place = 0;
    while place < 3 * State::COUNT * FLAG_SETS {
        let view = match place / (State::COUNT * FLAG_SETS) {
            0 => View::Input,
            1 => View::Output,
            _ => View::InputOnly,
        };
        let state = State::ALL[place / FLAG_SETS % State::COUNT];
        let flags = TcpFlags::from_bits_retain((place % FLAG_SETS) as u8);
        table[view as usize][state as usize][place % FLAG_SETS] = rule(view, state, flags);
        place += 1;
    }
    table
};

/// The state after a packet with `flags`; for connections of UDP it is always the same.
#[inline]
pub(crate) fn next(view: View, state: State, flags: TcpFlags) -> State {
    NEXT[view as usize][state as usize][flags.bits() as usize % FLAG_SETS]
}

const fn rule(view: View, state: State, flags: TcpFlags) -> State {
    if matches!(state, State::Udp) {
        return state;
    }
    // RST outranks SYN, SYN outranks FIN, FIN outranks ACK (`tcp_state_idx`).
    if flags.contains(TcpFlags::RST) {
        reset(view, state)
    } else if flags.contains(TcpFlags::SYN) {
        match view {
            View::Output => match state {
                None | FinWait | TimeWait | Close | CloseWait | LastAck => SynSent,
                SynAck => SynRecv,
                stays => stays,
            },
            View::Input | View::InputOnly => match state {
                SynSent => Established,
                Established | SynRecv => state,
                _ => SynRecv,
            },
        }
    } else if flags.contains(TcpFlags::FIN) {
        finish(view, state)
    } else if flags.contains(TcpFlags::ACK) {
        match (view, state) {
            (_, None | SynRecv | SynAck) | (View::Output, Listen) => Established,
            (View::Input | View::InputOnly, LastAck) => Close,
            (_, stays) => stays,
        }
    } else {
        Close
    }
}

const fn finish(view: View, state: State) -> State {
    match (view, state) {
        (View::Input, SynRecv | FinWait | SynAck)
        | (View::InputOnly, SynRecv | SynAck)
        | (View::Output, None | SynRecv | CloseWait | SynAck) => TimeWait,
        (View::Input | View::InputOnly, None) => Close,
        (View::Input, Established) => CloseWait,
        (View::InputOnly | View::Output, Established) => FinWait,
        (_, stays) => stays,
    }
}

const fn reset(view: View, state: State) -> State {
    match (view, state) {
        (
            View::Input | View::InputOnly,
            None | Established | SynSent | FinWait | TimeWait | CloseWait,
        )
        | (View::InputOnly, SynAck)
        | (
            View::Output,
            None | Established | SynRecv | FinWait | CloseWait | LastAck | Listen | SynAck,
        ) => Close,
        (View::Input, SynAck) => SynRecv,
        (_, stays) => stays,
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use super::*;

    /// `I:S O:S …` to the states it passes, as the specification writes its vectors.
    fn walk(steps: &str) -> String {
        let mut state = None;
        let names: Vec<String> = steps
            .split(' ')
            .map(|step| {
                let Some((view, flags)) = step.split_once(':') else {
                    panic!("step {step}")
                };
                let view = match view {
                    "I" => View::Input,
                    "O" => View::Output,
                    "X" => View::InputOnly,
                    other => panic!("view {other}"),
                };
                let flags = match flags {
                    "S" => TcpFlags::SYN,
                    "A" => TcpFlags::ACK,
                    "F" => TcpFlags::FIN | TcpFlags::ACK,
                    "R" => TcpFlags::RST,
                    other => panic!("flags {other}"),
                };
                state = next(view, state, flags);
                state.to_string()
            })
            .collect();
        names.join(" ")
    }

    #[test]
    fn vectors_of_the_specification() {
        assert_eq!(
            walk("I:S O:S I:A I:F O:A O:F I:A"),
            "SYN_RECV SYN_RECV ESTABLISHED CLOSE_WAIT CLOSE_WAIT TIME_WAIT TIME_WAIT"
        );
        assert_eq!(
            walk("I:S O:S I:A O:F I:A I:F O:A"),
            "SYN_RECV SYN_RECV ESTABLISHED FIN_WAIT FIN_WAIT TIME_WAIT TIME_WAIT"
        );
        assert_eq!(walk("I:S O:R"), "SYN_RECV CLOSE");
        assert_eq!(
            walk("X:S X:A X:F X:A"),
            "SYN_RECV ESTABLISHED FIN_WAIT FIN_WAIT"
        );
        assert_eq!(walk("X:S X:R"), "SYN_RECV SYN_RECV");
        assert_eq!(walk("I:A"), "ESTABLISHED");
    }

    #[test]
    fn a_segment_without_any_of_the_four_flags_closes() {
        assert_eq!(next(View::Input, Established, TcpFlags::PSH), Close);
    }
}
