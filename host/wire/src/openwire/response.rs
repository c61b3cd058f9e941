//! Answers to commands that wanted one (W20, W21).

use super::command::Command;
use super::fields::{Header, Throwable, fields};

/// Done (30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Response {
    /// Command id of the answer itself.
    pub header: Header,
    /// Command id of what is answered.
    pub correlation_id: i32,
}

/// Not done (31).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExceptionResponse {
    /// Command id of the answer itself.
    pub header: Header,
    /// Command id of what is answered.
    pub correlation_id: i32,
    /// Why.
    pub exception: Option<Throwable>,
}

/// Done, with an object (32).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataResponse {
    /// Command id of the answer itself.
    pub header: Header,
    /// Command id of what is answered.
    pub correlation_id: i32,
    /// The object.
    pub data: Option<Box<Command>>,
}

/// Done, with objects (33): the transactions of a RECOVER.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataArrayResponse {
    /// Command id of the answer itself.
    pub header: Header,
    /// Command id of what is answered.
    pub correlation_id: i32,
    /// The objects.
    pub data: Option<Vec<Command>>,
}

/// Done, with a number (34): XA_OK 0 or XA_RDONLY 3 of a PREPARE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IntegerResponse {
    /// Command id of the answer itself.
    pub header: Header,
    /// Command id of what is answered.
    pub correlation_id: i32,
    /// The number.
    pub result: i32,
}

fields!(Response = 30 { header: header, correlation_id: int });
fields!(ExceptionResponse = 31 { header: header, correlation_id: int, exception: throwable });
fields!(DataResponse = 32 { header: header, correlation_id: int, data: boxed });
fields!(DataArrayResponse = 33 { header: header, correlation_id: int, data: array });
fields!(IntegerResponse = 34 { header: header, correlation_id: int, result: int });
