//! Captures of made TCP connections, in constant memory, of any length.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// Connections that all go the same way and begin at equal distances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) connections: u64,
    /// How many begin in a second.
    pub(crate) per_second: u64,
    /// Packets with data between handshake and close, every second one from the server.
    pub(crate) data_packets: u64,
    /// Bytes of every frame; the shortest is 54.
    pub(crate) frame_length: usize,
}

/// Nanoseconds between two packets of a connection.
const STEP_NS: u64 = 1_000_000;
const SYN: u8 = 2;
const FIN: u8 = 1;
const ACK: u8 = 16;
const CLIENTS: u64 = 1 << 17;

/// Flags and whether the client sends it.
#[derive(Clone, Copy)]
struct Step {
    flags: u8,
    from_client: bool,
}

impl Traffic {
    pub(crate) fn packets_each(&self) -> u64 {
        6 + self.data_packets
    }

    pub(crate) fn packets(&self) -> u64 {
        self.connections * self.packets_each()
    }

    fn steps(&self) -> Vec<Step> {
        let step = |flags, from_client| Step { flags, from_client };
        let mut steps = vec![step(SYN, true), step(SYN | ACK, false), step(ACK, true)];
        steps.extend((0..self.data_packets).map(|n| step(ACK, n % 2 == 0)));
        steps.extend([
            step(FIN | ACK, true),
            step(FIN | ACK, false),
            step(ACK, true),
        ]);
        steps
    }

    /// Writes a nanosecond pcap.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
            out.write_all(&word.to_le_bytes())?;
        }
        let steps = self.steps();
        let between_ns = 1_000_000_000 / self.per_second;
        // How many connections later than its own SYN a packet comes.
        let lag = |step: u64| step * STEP_NS / between_ns;
        let mut record = vec![0; 16 + self.frame_length];
        self.fill(&mut record);
        let last = self.connections + lag(self.packets_each());
        for tick in 0..=last {
            for (number, step) in steps.iter().enumerate().rev() {
                let Some(connection) = tick.checked_sub(lag(number as u64)) else {
                    continue;
                };
                if connection >= self.connections {
                    continue;
                }
                set(
                    &mut record,
                    tick * between_ns,
                    connection,
                    number as u32,
                    *step,
                );
                out.write_all(&record)?;
            }
        }
        out.flush()?;
        Ok(())
    }

    /// What all records have in common.
    fn fill(&self, record: &mut [u8]) {
        let length = self.frame_length as u32;
        record[8..12].copy_from_slice(&length.to_le_bytes());
        record[12..16].copy_from_slice(&length.to_le_bytes());
        let frame = &mut record[16..];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&((self.frame_length - 14) as u16).to_be_bytes());
        (frame[22], frame[23], frame[46]) = (64, 6, 0x50);
    }
}

fn set(record: &mut [u8], at_ns: u64, connection: u64, number: u32, step: Step) {
    let at_ns = 1_700_000_000_000_000_000 + at_ns;
    record[..4].copy_from_slice(&((at_ns / 1_000_000_000) as u32).to_le_bytes());
    record[4..8].copy_from_slice(&((at_ns % 1_000_000_000) as u32).to_le_bytes());
    let client = (
        0xc612_0000 + (connection % CLIENTS) as u32,
        1024 + (connection / CLIENTS) as u16,
    );
    let server = (0x0a00_0001_u32, 80_u16);
    let (from, to) = if step.from_client {
        (client, server)
    } else {
        (server, client)
    };
    let frame = &mut record[16..];
    frame[18..20].copy_from_slice(&(number as u16 + 1).to_be_bytes());
    frame[26..30].copy_from_slice(&from.0.to_be_bytes());
    frame[30..34].copy_from_slice(&to.0.to_be_bytes());
    frame[34..36].copy_from_slice(&from.1.to_be_bytes());
    frame[36..38].copy_from_slice(&to.1.to_be_bytes());
    frame[38..42].copy_from_slice(&(connection as u32 + number).to_be_bytes());
    frame[42..46].copy_from_slice(&(connection as u32 + number).to_be_bytes());
    frame[47] = step.flags;
}
