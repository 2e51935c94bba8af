//! The columns of the table of requests: what both formats have in common.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::ends::Between;
use super::text::{escaped, hexadecimal};
use crate::request::{Content, Hello, Http, Initial, Request, Response};

/// One request.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) request: &'a Request,
    pub(super) between: Between,
}

/// One column.
#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Whether every row has a value.
    is_required: bool,
    pub(super) of: Of,
}

/// How a column's values are found. Numbers are unsigned: of 16, 32 and 64 bits.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Text(for<'a> fn(Row<'a>) -> Option<Cow<'a, str>>),
    Truth(fn(Row<'_>) -> Option<bool>),
    Short(fn(Row<'_>) -> Option<u16>),
    Int(fn(Row<'_>) -> Option<u32>),
    Long(fn(Row<'_>) -> Option<u64>),
}

/// In their order.
#[rustfmt::skip]
pub(super) const COLUMNS: [Column; 25] = [
    always("connection", Of::Long(|row| Some(row.request.connection))),
    always("request", Of::Int(|row| Some(row.request.number))),
    always("kind", Of::Text(|row| Some(kind(&row.request.content).into()))),
    always("first", Of::Truth(|row| Some(row.request.is_first))),
    always("protocol", Of::Text(|row| Some(row.between.protocol.to_string().into()))),
    always("client_address", Of::Text(|row| Some(row.between.client.address.to_string().into()))),
    always("client_port", Of::Short(|row| Some(row.between.client.port))),
    always("server_address", Of::Text(|row| Some(row.between.server.address.to_string().into()))),
    always("server_port", Of::Short(|row| Some(row.between.server.port))),
    always("time_ns", Of::Long(|row| Some(row.request.time.0))),
    often("method", Of::Text(|row| Some(row.http()?.method().into()))),
    often("target", Of::Text(|row| Some(escaped(row.http()?.target(), None)))),
    often("host", Of::Text(|row| Some(escaped(row.request.host()?, None)))),
    often("http_version", Of::Text(|row| Some(format!("1.{}", row.http()?.minor_version).into()))),
    often("request_bytes", Of::Long(|row| Some(row.http()?.bytes))),
    often("request_complete", Of::Truth(|row| Some(row.http()?.is_complete))),
    often("status", Of::Short(|row| Some(row.response()?.status))),
    often("response_time_ns", Of::Long(|row| Some(row.response()?.time.0))),
    often("response_last_time_ns", Of::Long(|row| Some(row.response()?.last.0))),
    often("response_bytes", Of::Long(|row| Some(row.response()?.bytes))),
    often("response_complete", Of::Truth(|row| Some(row.response()?.is_complete))),
    often("alpn", Of::Text(|row| protocols(row.hello()?))),
    often("quic_version", Of::Int(|row| Some(row.initial()?.version))),
    often("quic_destination_id", Of::Text(|row| Some(hexadecimal(&row.initial()?.destination_id).into()))),
    often("quic_source_id", Of::Text(|row| Some(hexadecimal(&row.initial()?.source_id).into()))),
];

/// The schema that a Parquet table of these columns has.
pub(super) fn message() -> String {
    let mut message = String::from("message equipoise_requests {\n");
    for column in &COLUMNS {
        let Column { name, of, .. } = column;
        let repetition = if column.is_required {
            "required"
        } else {
            "optional"
        };
        let (kind, logical) = match of {
            Of::Text(_) => ("binary", " (string)"),
            Of::Truth(_) => ("boolean", ""),
            Of::Short(_) => ("int32", " (integer(16, false))"),
            Of::Int(_) => ("int32", " (integer(32, false))"),
            Of::Long(_) => ("int64", " (integer(64, false))"),
        };
        // Writing to a text does not fail.
        let _ = writeln!(message, "    {repetition} {kind} {name}{logical};");
    }
    message + "}\n"
}

impl Of {
    /// A value as CSV has it.
    pub(super) fn text(self, row: Row<'_>) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(of) => of(row),
            Self::Truth(of) => of(row).map(|value| value.to_string().into()),
            Self::Short(of) => of(row).map(|value| value.to_string().into()),
            Self::Int(of) => of(row).map(|value| value.to_string().into()),
            Self::Long(of) => of(row).map(|value| value.to_string().into()),
        }
    }

    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Long(_))
    }
}

impl<'a> Row<'a> {
    fn http(self) -> Option<&'a Http> {
        self.request.http()
    }

    fn response(self) -> Option<Response> {
        self.http()?.response
    }

    fn hello(self) -> Option<&'a Hello> {
        match &self.request.content {
            Content::Tls(hello) => Some(hello),
            _ => None,
        }
    }

    fn initial(self) -> Option<&'a Initial> {
        match &self.request.content {
            Content::Quic(initial) => Some(initial),
            _ => None,
        }
    }
}

const fn always(name: &'static str, of: Of) -> Column {
    Column {
        name,
        is_required: true,
        of,
    }
}

/// Has no value where there is none, or where requests of another kind have none.
const fn often(name: &'static str, of: Of) -> Column {
    Column {
        name,
        is_required: false,
        of,
    }
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Http(_) => "http",
        Content::Tls(_) => "tls",
        Content::Quic(_) => "quic",
    }
}

/// Names with commas between them; a comma within one is escaped.
fn protocols(hello: &Hello) -> Option<Cow<'_, str>> {
    let names = hello.protocols.iter();
    let names: Vec<Cow<'_, str>> = names.map(|name| escaped(name, Some(','))).collect();
    (!names.is_empty()).then(|| names.join(",").into())
}
