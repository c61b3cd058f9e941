//! How a struct lists its fields in wire order, once, for reading and writing.
//!
//! `fields!(Name = type { field: how, newer: how since 3 })` names for each field the method of [`Decoder`] and
//! [`Encoder`] that carries it, and the protocol version that brought it. A field that the agreed version does not
//! have is its default when read and is left out when written.

use bytestring::ByteString;

use super::Error;
use super::decoder::Decoder;
use super::encoder::Encoder;

/// What every command starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Number given by the sender; a `Response` names it as its correlation id.
    pub command_id: i32,
    /// The sender waits for a `Response` (W20).
    pub response_required: bool,
}

/// An exception as two strings; Java clients build the class by its name (W12), we never do (H29).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Throwable {
    /// Full name of the Java class, such as `jakarta.jms.InvalidClientIDException`.
    pub class: ByteString,
    /// Its message.
    pub message: Option<ByteString>,
}

/// An object that stands in a frame behind its data type.
pub(super) trait Nested: Sized {
    fn data_type(&self) -> u8;
    /// Reads the fields; the type byte is read already.
    fn read<const TIGHT: bool>(decoder: &mut Decoder<'_, TIGHT>, data_type: u8) -> Result<Self, Error>;
    /// Writes the fields; the type byte is written already.
    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error>;
}

macro_rules! since {
    () => {
        1
    };
    ($version:literal) => {
        $version
    };
}
pub(super) use since;

macro_rules! fields {
    ($name:ident = $data_type:literal { $($fields:tt)* }) => {
        $crate::openwire::fields::fields!($name { $($fields)* });

        impl $crate::openwire::fields::Nested for $name {
            fn data_type(&self) -> u8 {
                $data_type
            }

            fn read<const TIGHT: bool>(
                decoder: &mut $crate::openwire::decoder::Decoder<'_, TIGHT>,
                data_type: u8,
            ) -> Result<Self, $crate::openwire::Error> {
                if data_type == $data_type { Self::read_fields(decoder) } else { decoder.unexpected(data_type) }
            }

            fn write<const TIGHT: bool>(
                &self,
                encoder: &mut $crate::openwire::encoder::Encoder<'_, TIGHT>,
            ) -> Result<(), $crate::openwire::Error> {
                self.write_fields(encoder)
            }
        }
    };
    ($name:ident { $($field:ident: $how:ident $(since $version:literal)?),* $(, ; $extra:ident)? $(,)? }) => {
        impl $name {
            #[allow(unused_variables)]
            pub(super) fn read_fields<const TIGHT: bool>(
                decoder: &mut $crate::openwire::decoder::Decoder<'_, TIGHT>,
            ) -> Result<Self, $crate::openwire::Error> {
                Ok(Self {
                    $($field: {
                        const SINCE: u8 = $crate::openwire::fields::since!($($version)?);
                        if SINCE == 1 || decoder.version >= SINCE {
                            decoder.what = concat!(stringify!($name), ".", stringify!($field));
                            decoder.$how()?
                        } else {
                            Default::default()
                        }
                    },)*
                    $($extra: Default::default(),)?
                })
            }

            #[allow(unused_variables)]
            pub(super) fn write_fields<const TIGHT: bool>(
                &self,
                encoder: &mut $crate::openwire::encoder::Encoder<'_, TIGHT>,
            ) -> Result<(), $crate::openwire::Error> {
                $({
                    const SINCE: u8 = $crate::openwire::fields::since!($($version)?);
                    if SINCE == 1 || encoder.version >= SINCE {
                        encoder.what = concat!(stringify!($name), ".", stringify!($field));
                        encoder.$how(&self.$field)?;
                    }
                })*
                Ok(())
            }
        }
    };
}
pub(super) use fields;
