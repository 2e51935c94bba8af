//! Where what is read goes: connections or requests, in one format or the other.

use std::io::{self, Write};

use super::facts::Extent;
use super::requests::Requests;
use super::segment::Collector;
use super::write::Writer;
use super::{Format, LARGEST_SEGMENT, Options, Rows, csv, schema};
use crate::trace::{Event, Trace};

pub(super) enum Sink<W: Write + Send> {
    Parquet {
        writer: Writer<W>,
        collector: Collector,
        segment: usize,
    },
    Csv(csv::Writer<W>),
    Requests(Requests<W>),
}

impl<W: Write + Send> Sink<W> {
    pub(super) fn new(out: W, options: &Options) -> io::Result<Self> {
        Ok(match (options.rows, options.format) {
            (Rows::Requests, format) => Self::Requests(Requests::new(out, format)?),
            (Rows::Connections, Format::Csv) => Self::Csv(csv::Writer::new(out)?),
            (Rows::Connections, Format::Parquet { segment }) => Self::Parquet {
                writer: Writer::new(out)?,
                collector: Collector::default(),
                // Its last batch may be longer than it is short of.
                segment: segment.min(LARGEST_SEGMENT as usize / 2),
            },
        })
    }

    /// Takes in what the latest batch brought.
    pub(super) fn take(&mut self, trace: &mut Trace, batch: &[Event]) -> io::Result<()> {
        match self {
            Self::Parquet {
                writer,
                collector,
                segment,
            } => {
                trace.seen().iter().for_each(|seen| collector.add(seen));
                trace.ended().for_each(|ended| collector.end(&ended));
                if collector.len() >= *segment {
                    flush(writer, collector, trace)?;
                }
                Ok(())
            }
            Self::Csv(writer) => trace.ended().try_for_each(|ended| writer.write(&ended)),
            Self::Requests(requests) => requests.take(trace, batch),
        }
    }

    /// Ends the table; `facts` makes its metadata of where its segments end, if it has any.
    pub(super) fn finish(
        self,
        trace: &mut Trace,
        facts: impl FnOnce(&mut Trace, Vec<Extent>) -> serde_json::Result<String>,
    ) -> io::Result<()> {
        match self {
            Self::Parquet {
                mut writer,
                mut collector,
                ..
            } => {
                if collector.len() > 0 {
                    flush(&mut writer, &mut collector, trace)?;
                }
                writer.finish(schema::FACTS_KEY, |segments| facts(trace, segments))
            }
            Self::Csv(writer) => writer.finish(),
            Self::Requests(requests) => requests.finish(|segments| facts(trace, segments)),
        }
    }
}

fn flush<W: Write + Send>(
    writer: &mut Writer<W>,
    collector: &mut Collector,
    trace: &mut Trace,
) -> io::Result<()> {
    let tracker = trace.tracker();
    let (segment, summaries) = collector.finish(|flow| tracker.connection(flow));
    writer.write(&segment, &summaries)
}
