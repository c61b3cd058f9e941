//! From the first byte to CONNECTED.

use message::{Command, Connect, RefusalKind, Text};
use wire::stomp::{self, Frame, Version};

use super::{Failure, Pending, State, StompSession, own, push};
use crate::{Admitted, Credentials, Denied, Output, Protocol};

/// What CONNECTED says we are.
const SERVER: &str = concat!("Jackfield/", env!("CARGO_PKG_VERSION"));
/// The list that goes with a refused `accept-version`.
const VERSIONS: &str = "1.0,1.1,1.2";
/// The same list as ActiveMQ spells it in the message.
const VERSIONS_SPELLED: &str = "[1.2, 1.1, 1.0]";

/// A login that is being decided.
#[derive(Debug, Default)]
pub(super) struct Proving {
    /// When patience ends.
    pub(super) until_ms: i64,
    /// The name that the client gave.
    user: Option<Text>,
    request_id: Option<Text>,
    receipt_id: Option<Text>,
    /// What was agreed, for the answer.
    heart_beat: String,
}

impl StompSession {
    /// Looks at the command line of the first frame while it arrives, so that whoever speaks another protocol hears so
    /// at once and not when a NUL ends what was no frame.
    pub(super) fn look_at_stranger(&mut self, buffer: &[u8]) -> Result<(), Failure> {
        let start = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n' | 0)).count();
        let line = &buffer[start..];
        let (line, whole) = match line.iter().position(|b| *b == b'\n') {
            Some(end) => (&line[..end], true),
            None => (line, false),
        };
        let known = ["CONNECT", "STOMP"].iter().any(|known| match whole {
            true => line.trim_ascii() == known.as_bytes(),
            false => known.as_bytes().starts_with(line.trim_ascii()),
        });
        if !known {
            return Err(Failure::Fatal(
                RefusalKind::IllegalState,
                "not a STOMP login: the first frame must be CONNECT or STOMP".into(),
            ));
        }
        if whole && let State::Login { greeted, .. } = &mut self.state {
            *greeted = true;
        }
        Ok(())
    }

    /// Refuses a stranger who talks without end; `waiting` bytes are in the buffer.
    pub(super) fn check_login_bytes(&mut self, waiting: usize) -> Result<(), Failure> {
        let limit = self.config.login_bytes_max;
        match self.state {
            State::Login { bytes, .. } if bytes + waiting > limit => {
                self.stats.limit_hit = Some("login_bytes_max");
                let message = format!("{} bytes came before the login, at most {limit} may", bytes + waiting);
                Err(Failure::Fatal(RefusalKind::ResourceAllocation, message))
            }
            _ => Ok(()),
        }
    }

    /// CONNECT or STOMP. The answer waits for whoever decides logins, and then for the broker machine, which may find
    /// the client id taken.
    pub(super) fn connect(&mut self, frame: &Frame, until_ms: i64, out: &mut Output) -> Result<(), Failure> {
        let illegal = |message: String| Failure::Fatal(RefusalKind::IllegalState, message);
        if !matches!(frame.command, stomp::Command::Connect | stomp::Command::Stomp) {
            let name = frame.command.as_str();
            return Err(illegal(format!("{name} came before CONNECT or STOMP")));
        }
        self.check_login_bytes(0)?;
        let text = |name| frame.get(name).map(|value| &**value);
        let accepts = text("accept-version").unwrap_or(Version::V1_0.as_str());
        let Some(version) = Version::newest_in(accepts) else {
            let message = format!("Invalid Protocol version[{accepts}], supported versions are: {VERSIONS_SPELLED}");
            self.write(&stomp::Command::Error, out, |writer| {
                writer.header("message", &message);
                writer.header("version", VERSIONS);
                writer.header("content-type", "text/plain");
                &message
            });
            self.stats.frames_refused += 1;
            self.close(message::Refusal::new(RefusalKind::IllegalState, message), out);
            return Ok(());
        };
        let wish = text("heart-beat").unwrap_or("0,0");
        let least_ms = self.config.heart_beat_ms_min;
        let (can, want) = self
            .heart_beat
            .agree(wish, least_ms, self.config.heart_beat_grace)
            .ok_or_else(|| illegal(format!("Invalid heart-beat header:{wish}")))?;

        let client_id = text("client-id").filter(|id| !id.is_empty());
        out.login = Some(Credentials::of(&self.config, Protocol::Stomp, text("login"), text("passcode"), client_id));
        self.version = version;
        self.decoder.set_version(version);
        self.client_id = client_id.map(own);
        self.state = State::Proving(Proving {
            until_ms,
            user: text("login").map(own),
            // Older clients of ActiveMQ ask with a receipt.
            request_id: text("request-id").or(text("receipt")).map(own),
            receipt_id: text("receipt").map(own),
            heart_beat: format!("{can},{want}"),
        });
        Ok(())
    }

    /// Whether the login is good has been decided; the broker machine may still refuse it.
    pub(super) fn decided(&mut self, outcome: Result<Admitted, Denied>, out: &mut Output) {
        let State::Proving(proving) = &mut self.state else { return };
        let Proving { until_ms, user, request_id, receipt_id, heart_beat } = std::mem::take(proving);
        let admitted = match outcome {
            Ok(admitted) => admitted,
            Err(denied) => {
                let failure = Failure::Fatal(RefusalKind::Security, denied.text(user.as_deref()));
                return self.fail(failure, receipt_id.as_deref(), out);
            }
        };
        self.rights.admit(admitted, user.as_ref(), self.config.user_id);
        self.state = State::Connecting { until_ms };
        let receipt = self.expect(Pending::Connect { request_id, heart_beat });
        let connect = Connect {
            client_id: self.client_id.clone(),
            connection: self.producer.connection.clone(),
            user: self.rights.user(),
            groups: self.rights.groups(),
            remote: self.config.remote.clone(),
            failover_reconnect: false,
            link_stealing: false,
            receipt: Some(receipt),
        };
        push(out, Command::Connect(Box::new(connect)));
    }

    /// The broker machine took the login.
    pub(super) fn connected(&mut self, request_id: Option<&str>, heart_beat: &str, out: &mut Output) {
        self.state = State::Connected;
        let session: Text = self.client_id.clone().unwrap_or_else(|| self.producer.connection.clone());
        let version = self.version.as_str();
        self.write(&stomp::Command::Connected, out, |writer| {
            writer.header("version", version);
            writer.header("heart-beat", heart_beat);
            writer.header("session", &session);
            writer.header("server", SERVER);
            if let Some(id) = request_id {
                writer.header("response-id", id);
                writer.header("receipt-id", id);
            }
            ""
        });
    }
}
