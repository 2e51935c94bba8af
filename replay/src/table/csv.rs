//! Connections as lines of CSV. No field has a comma or a quote in it.

use std::io::{self, BufWriter, Write};

use super::write::{basis_name, close_name};
use crate::track::{Connection, Traffic};

const HEADING: &str = "connection,protocol,client_address,client_port,server_address,server_port,\
basis,second_leg,established,close,first_time_ns,last_time_ns,first_response_ns,packets_to_server,\
bytes_to_server,payload_bytes_to_server,packets_to_client,bytes_to_client,payload_bytes_to_client";

pub(super) struct Writer<W: Write>(BufWriter<W>);

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let mut out = BufWriter::new(out);
        writeln!(out, "{HEADING}")?;
        Ok(Self(out))
    }

    pub(super) fn write(&mut self, connection: &Connection) -> io::Result<()> {
        let Connection {
            number,
            client,
            server,
            protocol,
            basis,
            established,
            close,
            first,
            last,
            first_response_ns,
            to_server,
            to_client,
            is_second_leg,
        } = connection;
        write!(
            self.0,
            "{number},{protocol},{},{},{},{},{},{is_second_leg},{established},{},{},{},",
            client.address,
            client.port,
            server.address,
            server.port,
            basis_name(*basis),
            close.map_or("", close_name),
            first.0,
            last.0,
        )?;
        if let Some(elapsed) = first_response_ns {
            write!(self.0, "{elapsed}")?;
        }
        for Traffic {
            packets,
            bytes,
            payload_bytes,
        } in [to_server, to_client]
        {
            write!(self.0, ",{packets},{bytes},{payload_bytes}")?;
        }
        writeln!(self.0)
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}
