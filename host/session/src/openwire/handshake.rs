//! What comes before login: the agreement on a format (rows W02 to W06), the greeting, the login (row W22).

use message::{Command as Ask, Connect, Refusal, RefusalKind, Text};
use wire::openwire::{
    BrokerId, BrokerInfo, Command, ConnectionControl, ConnectionInfo, Header, Limits, Property, VERSION, WireFormatInfo,
};

use super::replies::{Failure, Pending};
use super::{Client, OpenWireSession, State, detach};
use crate::{Admitted, Config, Credentials, Denied, Output, Protocol};

/// A keep-alive this long after the last one, in ms, gives a spare connection its bytes before login back.
const SPARE_KEEP_ALIVE_MS_MIN: i64 = 1000;

/// A login under way.
#[derive(Debug)]
pub(super) struct Joining {
    header: Header,
    /// The name that the client gave.
    user: Option<Text>,
    failover_reconnect: bool,
    /// The client understands `ConnectionControl`.
    manageable: bool,
}

/// What we can do (row W05).
pub(super) fn offer(config: &Config, limits: &Limits) -> WireFormatInfo {
    let cache_size = 1024.min(limits.cache_entries_max as i32);
    WireFormatInfo::new(
        VERSION,
        &[
            ("StackTraceEnabled", Property::Boolean(true)),
            ("CacheEnabled", Property::Boolean(true)),
            ("TcpNoDelayEnabled", Property::Boolean(true)),
            ("TightEncodingEnabled", Property::Boolean(true)),
            ("SizePrefixDisabled", Property::Boolean(false)),
            ("MaxInactivityDuration", Property::Long(config.inactivity_ms)),
            ("MaxInactivityDurationInitalDelay", Property::Long(config.inactivity_initial_delay_ms)),
            ("CacheSize", Property::Int(cache_size)),
            ("MaxFrameSize", Property::Long(config.frame_bytes_max as i64)),
            ("MaxFrameSizeEnabled", Property::Boolean(true)),
            ("ProviderName", Property::String("Jackfield".into())),
            ("ProviderVersion", Property::String(env!("CARGO_PKG_VERSION").into())),
        ],
    )
}

/// Names the protocol of a peer that came to the wrong port. The size of a first frame of ours is below 64 KiB, so its
/// first two bytes are zero.
pub(super) fn refuse_foreign(bytes: &[u8]) -> Result<(), Refusal> {
    let Some(start) = bytes.first_chunk::<4>() else { return Ok(()) };
    if start[..2] == [0, 0] {
        return Ok(());
    }
    let name = match start {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PATC" => "HTTP",
        b"CONN" | b"STOM" => "STOMP",
        b"AMQP" => "AMQP",
        [0x16, 3, ..] => "TLS",
        [0x10, _, 0, 4 | 6] => "MQTT",
        _ => {
            let text = format!("the first bytes {start:02x?} are no OpenWire frame; this port speaks OpenWire");
            return Err(Refusal::new(RefusalKind::IllegalState, text));
        }
    };
    let text = format!("the peer speaks {name}, this port speaks OpenWire; connect to the port of a {name} connector");
    Err(Refusal::new(RefusalKind::IllegalState, text))
}

impl OpenWireSession {
    /// A command of somebody who has not logged in. What is not named here is refused and ends the connection (V10).
    pub(super) fn meet(&mut self, command: Command, now_ms: i64, out: &mut Output) {
        match (command, &mut self.state) {
            (Command::WireFormatInfo(info), State::Greeting) => self.agree(&info, now_ms, out),
            (Command::KeepAliveInfo(info), _) => {
                if now_ms - self.login_bytes_since >= SPARE_KEEP_ALIVE_MS_MIN {
                    (self.login_bytes, self.login_bytes_since) = (0, now_ms);
                }
                if matches!(self.state, State::Stranger { .. }) {
                    self.clock.wait_from(now_ms);
                }
                self.keep_alive(info, out);
            }
            (Command::ShutdownInfo(info), _) => self.shut_down(info.header, out),
            (Command::BrokerInfo(info), State::Stranger { introduced }) if !*introduced => {
                *introduced = true;
                self.answer(info.header, out);
            }
            // A client that comes back says so before it logs in (row L01). It asks for nothing and gets nothing.
            (Command::ConnectionControl(control), State::Stranger { .. }) => self.answer(control.header, out),
            (Command::ConnectionInfo(info), State::Stranger { .. }) => self.log_in(info, out),
            (other, _) => {
                let header = other.header().copied().unwrap_or_default();
                let text = format!("command {} is not allowed before login", other.data_type());
                let refusal = Refusal::new(RefusalKind::Security, text);
                if header.response_required {
                    self.fail(header, refusal.clone().into(), out);
                } else {
                    self.stats.frames_refused += 1;
                }
                self.close(refusal, out);
            }
        }
    }

    fn agree(&mut self, theirs: &WireFormatInfo, now_ms: i64, out: &mut Output) {
        let offer = self.offer.clone();
        let agreement = match self.format.renegotiate(theirs, &offer) {
            Ok(agreement) => agreement.clone(),
            Err(error) => {
                self.stats.frames_refused += 1;
                let text = format!("no agreement on a wire format: {error}");
                return self.close(Refusal::new(RefusalKind::IllegalState, text), out);
            }
        };
        self.jakarta = knows_jakarta(theirs);
        self.clock.agree(agreement.inactivity_ms_max, agreement.inactivity_initial_delay_ms, now_ms);
        self.state = State::Stranger { introduced: false };
        let broker = &self.config.broker;
        let info = BrokerInfo {
            broker_id: Some(BrokerId { value: broker.id.clone() }),
            broker_name: Some(broker.name.clone()),
            broker_url: Some(broker.url.clone()),
            ..BrokerInfo::default()
        };
        self.write(info, out);
    }

    fn log_in(&mut self, info: ConnectionInfo, out: &mut Output) {
        let id = info.connection_id.map(|id| id.value).filter(|id| !id.is_empty());
        let Some(id) = id else {
            let refusal = Refusal::new(RefusalKind::IllegalState, "the login carries no connection id");
            self.fail(info.header, refusal.clone().into(), out);
            return self.close(refusal, out);
        };
        let (user, password) = (info.user_name.as_deref(), info.password.as_deref());
        out.login = Some(Credentials::of(&self.config, Protocol::OpenWire, user, password, info.client_id.as_deref()));
        let client_id = info.client_id.as_ref().filter(|id| !id.is_empty()).map(detach);
        self.client = Client { id: detach(&id), client_id, returning: info.failover_reconnect, ..Client::default() };
        self.state = State::Proving(Joining {
            header: info.header,
            user: info.user_name.as_ref().map(detach),
            failover_reconnect: info.failover_reconnect,
            manageable: info.manageable,
        });
    }

    /// Whether the login is good has been decided; the broker machine may still refuse it.
    pub(super) fn decided(&mut self, outcome: Result<Admitted, Denied>, out: &mut Output) {
        if !matches!(self.state, State::Proving(_)) {
            return;
        }
        let State::Proving(joining) = std::mem::replace(&mut self.state, State::Closed) else { return };
        match outcome {
            Ok(admitted) => self.rights.admit(admitted, joining.user.as_ref(), self.config.user_id),
            Err(denied) => {
                let refusal = Refusal::new(RefusalKind::Security, denied.text(joining.user.as_deref()));
                self.fail(joining.header, refusal.clone().into(), out);
                return self.close(refusal, out);
            }
        }
        let receipt = self.replies.expect(Pending::Login);
        out.commands.push(Ask::Connect(Box::new(Connect {
            client_id: self.client.client_id.clone(),
            connection: self.client.id.clone(),
            user: self.rights.user(),
            groups: self.rights.groups(),
            remote: self.config.remote.clone(),
            failover_reconnect: joining.failover_reconnect,
            link_stealing: self.options.link_stealing,
            receipt: Some(receipt),
        })));
        self.state = State::Joining(joining);
    }

    /// The broker machine has answered the login.
    pub(super) fn joined(&mut self, outcome: Result<(), Refusal>, out: &mut Output) {
        let State::Joining(joining) = std::mem::replace(&mut self.state, State::Open) else { return };
        if let Err(refusal) = outcome {
            self.fail(joining.header, Failure::from(refusal.clone()), out);
            return self.close(refusal, out);
        }
        self.answer(joining.header, out);
        if joining.manageable {
            let control = ConnectionControl {
                connected_brokers: Some(Text::new()),
                reconnect_to: Some(Text::new()),
                ..ConnectionControl::default()
            };
            self.write(control, out);
        }
    }

    /// The peer says good-bye.
    pub(super) fn shut_down(&mut self, header: Header, out: &mut Output) {
        self.answer(header, out);
        self.close(Refusal::new(RefusalKind::Closing, "the client closed the connection"), out);
    }

    /// A command of a client that has taken its connection back.
    pub(super) fn part(&mut self, command: Command, out: &mut Output) {
        match command {
            Command::ShutdownInfo(info) => self.shut_down(info.header, out),
            Command::KeepAliveInfo(info) => self.keep_alive(info, out),
            other => {
                let header = other.header().copied().unwrap_or_default();
                if header.response_required {
                    let refusal = Refusal::new(RefusalKind::IllegalState, "the connection was removed by its client");
                    self.fail(header, refusal.into(), out);
                }
            }
        }
    }
}

/// Clients from version 6 on have the exceptions of `jakarta.jms`; what does not tell its version is older.
fn knows_jakarta(info: &WireFormatInfo) -> bool {
    let properties = info.properties().unwrap_or_default();
    properties.iter().any(|(name, value)| match value {
        Property::String(version) if &name[..] == "ProviderVersion" => {
            version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 6)
        }
        _ => false,
    })
}
