//! The state of one connection: what is agreed, both caches, and the frames.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Error;
use super::cache::{Received, Sent};
use super::command::Command;
use super::decoder::Decoder;
use super::encoder::{Bits, Encoder};
use super::fields::Nested;
use super::limits::Limits;
use super::message::Dispatch;
use super::wire_format_info::{MAGIC, Property, WireFormatInfo};

/// The newest version that we speak.
pub const VERSION: i32 = 12;
/// Entries that a cache size of 0 stands for (W04).
const CACHE_SIZE_UNSAID: i32 = 16_383;

/// What two `WireFormatInfo`s agree on (W04).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Version, 1 to 12: the lesser of the two.
    pub version: u8,
    /// Tight encoding, if both can.
    pub tight: bool,
    /// Size of the marshalling caches; none when one side wants no cache.
    pub cache_size: Option<usize>,
    /// Throwables carry stack traces.
    pub stack_trace: bool,
    /// Both sides want no delay on their sockets.
    pub tcp_no_delay: bool,
    /// Frames have no size before them.
    pub size_prefix_disabled: bool,
    /// Bytes of a frame, the lesser positive one.
    pub frame_bytes_max: u64,
    /// Milliseconds without a byte after which a side gives up (W14), the lesser; 0 is never.
    pub inactivity_ms_max: i64,
    /// Milliseconds before that watch starts, the lesser.
    pub inactivity_initial_delay_ms: i64,
}

impl Default for Agreement {
    /// What holds before anything is agreed: loose, uncached, with sizes (W02).
    fn default() -> Self {
        Self {
            version: VERSION as u8,
            tight: false,
            cache_size: None,
            stack_trace: false,
            tcp_no_delay: false,
            size_prefix_disabled: false,
            frame_bytes_max: i32::MAX as u64,
            inactivity_ms_max: 0,
            inactivity_initial_delay_ms: 0,
        }
    }
}

/// The codec of one connection. Bytes in the order of the stream, or the caches of the two sides drift apart.
#[derive(Debug, Clone)]
pub struct Format {
    limits: Limits,
    agreement: Agreement,
    agreed: bool,
    received: Received,
    sent: Sent,
    bits: Bits,
    /// Length of the last bit stream of each data type: where the next one will most likely end.
    bit_bytes: [u16; 128],
    /// Bytes that a frame without a size needs at least before reading it again can help.
    frame_bytes_min: usize,
}

impl Format {
    /// A connection that has agreed on nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            agreement: Agreement::default(),
            agreed: false,
            received: Received::default(),
            sent: Sent::default(),
            bits: Bits::default(),
            bit_bytes: [0; 128],
            frame_bytes_min: 0,
        }
    }

    /// What we offer unless the caller says otherwise (W05), with our own frame limit.
    pub fn preferred(&self) -> WireFormatInfo {
        WireFormatInfo::new(
            VERSION,
            &[
                ("StackTraceEnabled", Property::Boolean(true)),
                ("CacheEnabled", Property::Boolean(true)),
                ("TcpNoDelayEnabled", Property::Boolean(true)),
                ("TightEncodingEnabled", Property::Boolean(true)),
                ("SizePrefixDisabled", Property::Boolean(false)),
                ("MaxInactivityDuration", Property::Long(30_000)),
                ("MaxInactivityDurationInitalDelay", Property::Long(10_000)),
                ("CacheSize", Property::Int(1024.min(self.limits.cache_entries_max as i32))),
                ("MaxFrameSize", Property::Long(self.limits.frame_bytes_max as i64)),
                ("MaxFrameSizeEnabled", Property::Boolean(true)),
                ("ProviderName", Property::String("Jackfield".into())),
                ("ProviderVersion", Property::String(env!("CARGO_PKG_VERSION").into())),
            ],
        )
    }

    /// Takes up what both sides can do (W04), or refuses (W06). Call it once both infos are on their way.
    ///
    /// `MaxFrameSizeEnabled` is not agreed upon: our own limit always holds.
    pub fn renegotiate(&mut self, theirs: &WireFormatInfo, ours: &WireFormatInfo) -> Result<&Agreement, Error> {
        if theirs.magic != MAGIC {
            return Err(Error::Magic { magic: theirs.magic });
        }
        let version = lesser_positive(ours.version.into(), theirs.version.into()) as i32;
        let least = self.limits.version_min.max(1);
        if theirs.version < self.limits.version_min || !(least..=VERSION).contains(&version) {
            return Err(Error::Version { version: theirs.version, least, most: VERSION });
        }
        let (theirs, ours) = (Offer::read(theirs)?, Offer::read(ours)?);
        let cache_size = match theirs.cache_size.min(ours.cache_size) {
            _ if !(theirs.cache && ours.cache) => None,
            0 => Some(CACHE_SIZE_UNSAID as usize),
            size => Some(usize::try_from(size).map_err(|_| Error::CacheSize { size })?),
        };
        let frame_bytes_max = lesser_positive(ours.frame_bytes_max, theirs.frame_bytes_max);
        self.agree(Agreement {
            version: version as u8,
            tight: theirs.tight && ours.tight,
            cache_size,
            stack_trace: theirs.stack_trace && ours.stack_trace,
            tcp_no_delay: theirs.tcp_no_delay && ours.tcp_no_delay,
            size_prefix_disabled: theirs.size_prefix_disabled && ours.size_prefix_disabled,
            frame_bytes_max: u64::try_from(frame_bytes_max).ok().filter(|size| *size > 0).unwrap_or(i32::MAX as u64),
            inactivity_ms_max: theirs.inactivity_ms_max.min(ours.inactivity_ms_max),
            inactivity_initial_delay_ms: theirs.inactivity_initial_delay_ms.min(ours.inactivity_initial_delay_ms),
        });
        Ok(&self.agreement)
    }

    /// Takes up an agreement that was reached elsewhere; both caches start empty.
    pub fn agree(&mut self, agreement: Agreement) {
        let size = agreement.cache_size.unwrap_or(0).min(self.limits.cache_entries_max);
        self.received = Received::new(size, self.limits.cache_bytes_max);
        self.sent = Sent::new(size);
        self.agreement = agreement;
        self.agreed = true;
    }

    /// What holds now.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// The next command of the stream; `None` when `buffer` holds no whole frame yet.
    ///
    /// Texts and bodies are slices of `buffer`'s memory: a command kept for long keeps its frame. After an error the
    /// stream is lost.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, Error> {
        if self.agreement.size_prefix_disabled {
            return self.decode_unsized(buffer);
        }
        let Some(prefix) = buffer.first_chunk::<4>() else { return Ok(None) };
        let size = i32::from_be_bytes(*prefix);
        let size = usize::try_from(size).map_err(|_| Error::NegativeLength {
            what: "frame",
            offset: 0,
            length: size.into(),
        })?;
        self.fits(size)?;
        if buffer.len() - 4 < size {
            return Ok(None);
        }
        let frame = buffer.split_to(4 + size).freeze();
        self.read(&frame, 4).map(|(command, _)| Some(command))
    }

    /// Appends a command's frame to `out`. After an error `out` is as before and the connection can go on.
    pub fn encode(&mut self, command: &Command, out: &mut BytesMut) -> Result<(), Error> {
        if let Command::WireFormatInfo(info) = command {
            return self.encode_info(info, out);
        }
        self.frame(command.data_type(), out, Body::Command(command))
    }

    /// Appends a message's frame to `out`, without a [`Command`] around it.
    pub fn encode_message(&mut self, message: &super::Message, out: &mut BytesMut) -> Result<(), Error> {
        self.frame(message.data_type(), out, Body::Message(message))
    }

    /// Appends the frame of a `MessageDispatch` to `out`; the only copy of the body is the one into `out`.
    pub fn encode_dispatch(&mut self, dispatch: &Dispatch<'_>, out: &mut BytesMut) -> Result<(), Error> {
        self.frame(21, out, Body::Dispatch(dispatch))
    }

    fn frame_bytes_max(&self) -> u64 {
        let limit = if self.agreed { self.limits.frame_bytes_max } else { self.limits.negotiation_bytes_max };
        self.agreement.frame_bytes_max.min(limit as u64)
    }

    fn fits(&self, size: usize) -> Result<(), Error> {
        let (need, have) = (size as u64, self.frame_bytes_max());
        if need > have { Err(Error::FrameTooLarge { need, have }) } else { Ok(()) }
    }

    /// Reads the object at `at`, and tells where it ends; what follows within a sized frame is left alone, as ActiveMQ
    /// does.
    fn read(&mut self, frame: &Bytes, at: usize) -> Result<(Command, usize), Error> {
        let Agreement { version, tight, stack_trace, .. } = self.agreement;
        let data_type = *frame.get(at).ok_or(Error::Truncated { what: "data type", offset: at, need: 1, have: 0 })?;
        let cache = self.agreement.cache_size.is_some().then_some(&mut self.received);
        match data_type {
            0 => Ok((Command::Null, at + 1)),
            // A `WireFormatInfo` is loose whatever is agreed (W02).
            1 => object(Decoder::<false>::new(frame, at, &self.limits, None, version, stack_trace)),
            _ if tight => object(Decoder::<true>::new(frame, at, &self.limits, cache, version, stack_trace)),
            _ => object(Decoder::<false>::new(frame, at, &self.limits, cache, version, stack_trace)),
        }
    }

    /// Frames without sizes: only reading tells where one ends, so each try starts over on a copy, and not before the
    /// field that was cut off is whole. `preferred` does not offer such frames.
    fn decode_unsized(&mut self, buffer: &mut BytesMut) -> Result<Option<Command>, Error> {
        if buffer.len() < self.frame_bytes_min.max(1) {
            return Ok(None);
        }
        let frame = Bytes::copy_from_slice(buffer);
        match self.read(&frame, 0) {
            Ok((command, end)) => {
                self.frame_bytes_min = 0;
                self.fits(end)?;
                buffer.advance(end);
                Ok(Some(command))
            }
            Err(Error::Truncated { offset, need, .. }) => {
                let shown = offset.saturating_add(need);
                self.fits(shown)?;
                self.frame_bytes_min = shown;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn encode_info(&mut self, info: &WireFormatInfo, out: &mut BytesMut) -> Result<(), Error> {
        let start = out.len();
        if !self.agreement.size_prefix_disabled {
            out.put_u32(0);
        }
        out.put_u8(1);
        self.bits.clear();
        let version = self.agreement.version;
        let what = "WireFormatInfo";
        let mut encoder =
            Encoder::<false> { out, bits: &mut self.bits, cache: None, version, stack_trace: false, what };
        let written = info.write(&mut encoder);
        self.finish(written, start, out)
    }

    fn frame(&mut self, data_type: u8, out: &mut BytesMut, body: Body<'_>) -> Result<(), Error> {
        let start = out.len();
        if !self.agreement.size_prefix_disabled {
            out.put_u32(0);
        }
        out.put_u8(data_type);
        if data_type == 0 {
            return self.finish(Ok(()), start, out);
        }
        self.bits.clear();
        let Agreement { version, tight, stack_trace, .. } = self.agreement;
        let cache = self.agreement.cache_size.is_some().then(|| {
            self.sent.make_room();
            &mut self.sent
        });
        let bits = &mut self.bits;
        let what = "data type";
        let written = if tight {
            // The bits stand before the bytes but are known after them: leave the room that they took last time.
            let guess = &mut self.bit_bytes[usize::from(data_type & 127)];
            let room = bit_stream_length(usize::from(*guess));
            let place = out.len();
            out.put_bytes(0, room);
            let mut encoder = Encoder::<true> { out, bits, cache, version, stack_trace, what };
            let written = encoder.known(data_type).and_then(|()| body.write(&mut encoder));
            let count = bits.bytes().len();
            written.and_then(|()| match i16::try_from(count) {
                Ok(count) => {
                    *guess = count as u16;
                    place_bits(out, place, room, bits.bytes());
                    Ok(())
                }
                Err(_) => {
                    Err(Error::TooMany { what: "bit stream", offset: place, need: count, have: i16::MAX as usize })
                }
            })
        } else {
            let mut encoder = Encoder::<false> { out, bits, cache, version, stack_trace, what };
            encoder.known(data_type).and_then(|()| body.write(&mut encoder))
        };
        self.finish(written, start, out)
    }

    /// Writes the size of the frame that begins at `start`, or takes everything back.
    fn finish(&mut self, written: Result<(), Error>, start: usize, out: &mut BytesMut) -> Result<(), Error> {
        let prefix = if self.agreement.size_prefix_disabled { 0 } else { 4 };
        let size = out.len() - start - prefix;
        // The least of what is agreed binds what we send; our own limit is about what we read.
        let have = self.agreement.frame_bytes_max.min(i32::MAX as u64);
        let fits = if size as u64 > have { Err(Error::FrameTooLarge { need: size as u64, have }) } else { Ok(()) };
        if let Err(error) = written.and(fits) {
            out.truncate(start);
            self.sent.clear();
            return Err(error);
        }
        if prefix != 0 {
            out[start..start + 4].copy_from_slice(&(size as u32).to_be_bytes());
        }
        Ok(())
    }
}

/// What a frame is about.
enum Body<'a> {
    Command(&'a Command),
    Message(&'a super::Message),
    Dispatch(&'a Dispatch<'a>),
}

impl Body<'_> {
    fn write<const TIGHT: bool>(&self, encoder: &mut Encoder<'_, TIGHT>) -> Result<(), Error> {
        match self {
            Self::Command(command) => command.write(encoder),
            Self::Message(message) => message.write(encoder),
            Self::Dispatch(dispatch) => dispatch.write(encoder),
        }
    }
}

fn object<const TIGHT: bool>(mut decoder: Decoder<'_, TIGHT>) -> Result<(Command, usize), Error> {
    let data_type = decoder.byte()?;
    decoder.known(data_type)?;
    if TIGHT {
        decoder.bit_stream()?;
    }
    let command = Command::read(&mut decoder, data_type)?;
    Ok((command, decoder.offset()))
}

/// Bytes of a bit stream with its own size in front.
fn bit_stream_length(bytes: usize) -> usize {
    match bytes {
        0..64 => 1 + bytes,
        64..256 => 2 + bytes,
        _ => 3 + bytes,
    }
}

/// Puts the bit stream into the `room` bytes at `place`, moving what follows if the room is too small or too large.
fn place_bits(out: &mut BytesMut, place: usize, room: usize, bits: &[u8]) {
    let length = bit_stream_length(bits.len());
    let end = out.len();
    if length > room {
        out.put_bytes(0, length - room);
        out.copy_within(place + room..end, place + length);
    } else if length < room {
        out.copy_within(place + room..end, place + length);
        out.truncate(end - (room - length));
    }
    let stream = &mut out[place..place + length];
    let (head, tail) = stream.split_at_mut(length - bits.len());
    match bits.len() {
        count @ 0..64 => head[0] = count as u8,
        count @ 64..256 => head.copy_from_slice(&[0xc0, count as u8]),
        count => {
            head[0] = 0x80;
            head[1..].copy_from_slice(&(count as u16).to_be_bytes());
        }
    }
    tail.copy_from_slice(bits);
}

/// The lesser of two, where 0 and below stand for "no wish".
fn lesser_positive(ours: i64, theirs: i64) -> i64 {
    if ours < theirs && ours > 0 || theirs <= 0 { ours } else { theirs }
}

/// The properties of a `WireFormatInfo` that matter to an agreement; what is missing or of another type is false or 0.
#[derive(Default)]
struct Offer {
    tight: bool,
    cache: bool,
    cache_size: i32,
    stack_trace: bool,
    tcp_no_delay: bool,
    size_prefix_disabled: bool,
    frame_bytes_max: i64,
    inactivity_ms_max: i64,
    inactivity_initial_delay_ms: i64,
}

impl Offer {
    fn read(info: &WireFormatInfo) -> Result<Self, Error> {
        let mut offer = Self::default();
        for (name, value) in info.properties()? {
            match (&name[..], value) {
                ("TightEncodingEnabled", Property::Boolean(value)) => offer.tight = value,
                ("CacheEnabled", Property::Boolean(value)) => offer.cache = value,
                ("CacheSize", Property::Int(value)) => offer.cache_size = value,
                ("StackTraceEnabled", Property::Boolean(value)) => offer.stack_trace = value,
                ("TcpNoDelayEnabled", Property::Boolean(value)) => offer.tcp_no_delay = value,
                ("SizePrefixDisabled", Property::Boolean(value)) => offer.size_prefix_disabled = value,
                ("MaxFrameSize", Property::Long(value)) => offer.frame_bytes_max = value,
                ("MaxInactivityDuration", Property::Long(value)) => offer.inactivity_ms_max = value,
                ("MaxInactivityDurationInitalDelay", Property::Long(value)) => {
                    offer.inactivity_initial_delay_ms = value;
                }
                _ => {}
            }
        }
        Ok(offer)
    }
}
