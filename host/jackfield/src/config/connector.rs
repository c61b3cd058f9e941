//! Connector URIs as ActiveMQ writes them: `tcp://0.0.0.0:61616?maximumConnections=1000&wireFormat.maxFrameSize=104857600`.

use server::{ClientAuth, Versions};
use session::Protocol;
use url::Url;

use super::keys::{Key, plain, text};
use super::problem::{Fault, unknown};
use super::size;
use super::tls::{TlsFiles, file, path};

/// One port that clients connect to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connector {
    /// Name for people, unique among the connectors.
    pub(crate) name: String,
    /// The URI as it was written.
    pub(crate) uri: String,
    /// Which protocol is spoken.
    pub(crate) protocol: Protocol,
    /// How TLS is spoken; `None` where it is not.
    pub(crate) tls: Option<TlsOptions>,
    /// Certificates in place of those of `[tls]`.
    pub(crate) files: TlsFiles,
    /// Name or address to bind, IPv6 without brackets.
    pub(crate) host: String,
    /// Port to bind; 0 lets the system choose one.
    pub(crate) port: u16,
    /// `maximumConnections`: further ones are closed at once.
    pub(crate) connections_max: usize,
    /// `backlog`: connections that the system holds until they are accepted.
    pub(crate) backlog: u32,
    /// `wireFormat.maxFrameSize`, for STOMP `wireFormat.maxDataLength` too.
    pub(crate) frame_bytes_max: usize,
    /// `wireFormat.maxInactivityDuration`, OpenWire only.
    pub(crate) inactivity_ms: i64,
    /// `wireFormat.maxInactivityDurationInitalDelay`, OpenWire only.
    pub(crate) inactivity_initial_delay_ms: i64,
    /// `transport.connectAttemptTimeout`.
    pub(crate) login_ms_max: i64,
    /// `transport.hbGracePeriodMultiplier`, STOMP only.
    pub(crate) heart_beat_grace: f64,
    /// Consumers that one connection may have.
    pub(crate) consumers_max: usize,
    /// Producers that one connection may have.
    pub(crate) producers_max: usize,
}

/// What the URI of a connector with TLS says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsOptions {
    /// `needClientAuth`: clients must show a certificate.
    pub(crate) need_client_auth: bool,
    /// `wantClientAuth`: clients may show one. `needClientAuth` goes before it.
    pub(crate) want_client_auth: bool,
    /// `enabledProtocols`.
    pub(crate) versions: Versions,
}

impl TlsOptions {
    /// Whether clients show certificates.
    pub(crate) fn client_auth(self) -> ClientAuth {
        match self {
            TlsOptions { need_client_auth: true, .. } => ClientAuth::Need,
            TlsOptions { want_client_auth: true, .. } => ClientAuth::Want,
            _ => ClientAuth::None,
        }
    }
}

/// Keys of a `[[connector]]` beside `uri`.
pub(crate) const KEYS: &[Key<Connector>] = &[
    Key {
        name: "name",
        doc: "Unique among the connectors.",
        read: |c, raw| raw.name().map(|name| c.name = name.to_owned()),
        show: |c| text(&c.name),
    },
    Key {
        name: "maximum_consumers_per_connection",
        doc: "Consumers that one connection may have (maximumConsumersAllowedPerConnection).",
        read: |c, raw| raw.count(1..=1_000_000).map(|count| c.consumers_max = count),
        show: |c| plain(c.consumers_max),
    },
    Key {
        name: "maximum_producers_per_connection",
        doc: "Producers that one connection may have (maximumProducersAllowedPerConnection).",
        read: |c, raw| raw.count(1..=1_000_000).map(|count| c.producers_max = count),
        show: |c| plain(c.producers_max),
    },
    Key {
        name: "certificate",
        doc: "For this connector in place of tls.certificate.",
        read: |c, raw| path(raw).map(|file| c.files.certificate = Some(file)),
        show: |c| file(c.files.certificate.as_ref(), "\"other-broker.pem\""),
    },
    Key {
        name: "key",
        doc: "For this connector in place of tls.key.",
        read: |c, raw| path(raw).map(|file| c.files.key = Some(file)),
        show: |c| file(c.files.key.as_ref(), "\"other-broker.key\""),
    },
    Key {
        name: "client_ca",
        doc: "For this connector in place of tls.client_ca.",
        read: |c, raw| path(raw).map(|file| c.files.client_ca = Some(file)),
        show: |c| file(c.files.client_ca.as_ref(), "\"other-clients-ca.pem\""),
    },
];

/// Sets one option of the URI; says what belongs there when the value is wrong.
type SetOption = fn(&mut Connector, &str) -> Result<(), Fault>;

/// Options of every connector.
const COMMON: [(&str, SetOption); 4] = [
    ("maximumConnections", |c, v| number(v, 1, 1_000_000).map(|n| c.connections_max = n as usize)),
    ("backlog", |c, v| number(v, 1, 1_000_000).map(|n| c.backlog = n as u32)),
    ("wireFormat.maxFrameSize", frame_bytes),
    ("transport.connectAttemptTimeout", |c, v| number(v, 1, MS_MAX).map(|n| c.login_ms_max = n as i64)),
];

/// Options of OpenWire connectors. The first spelling of the initial delay is ActiveMQ's own.
const OPENWIRE: [(&str, SetOption); 3] = [
    ("wireFormat.maxInactivityDuration", |c, v| number(v, 0, MS_MAX).map(|n| c.inactivity_ms = n as i64)),
    ("wireFormat.maxInactivityDurationInitalDelay", initial_delay),
    ("wireFormat.maxInactivityDurationInitialDelay", initial_delay),
];

/// Options of STOMP connectors.
const STOMP: [(&str, SetOption); 2] = [
    ("wireFormat.maxDataLength", frame_bytes),
    ("transport.hbGracePeriodMultiplier", |c, v| {
        let grace = v.parse::<f64>().ok().filter(|grace| (1.0..=1000.0).contains(grace));
        c.heart_beat_grace = grace.ok_or_else(|| wrong(v, "a number from 1.0 to 1000"))?;
        Ok(())
    }),
];

/// Options of connectors with TLS. ActiveMQ takes those of its server bare too.
const TLS: [(&str, SetOption); 8] = [
    ("needClientAuth", need_client_auth),
    ("transport.needClientAuth", need_client_auth),
    ("wantClientAuth", want_client_auth),
    ("transport.wantClientAuth", want_client_auth),
    ("enabledProtocols", enabled_protocols),
    ("transport.enabledProtocols", enabled_protocols),
    ("verifyHostName", verify_host_name),
    ("transport.verifyHostName", verify_host_name),
];

/// Schemes that are served.
const SCHEMES: [&str; 8] = ["tcp", "nio", "ssl", "nio+ssl", "stomp", "stomp+nio", "stomp+ssl", "stomp+nio+ssl"];

/// Schemes that ActiveMQ serves and this version does not.
const SCHEMES_LATER: [&str; 25] = [
    "auto",
    "auto+nio",
    "auto+ssl",
    "auto+nio+ssl",
    "amqp",
    "amqp+nio",
    "amqp+ssl",
    "amqp+nio+ssl",
    "amqp+ws",
    "amqp+wss",
    "mqtt",
    "mqtt+nio",
    "mqtt+ssl",
    "mqtt+nio+ssl",
    "ws",
    "wss",
    "http",
    "https",
    "udp",
    "vm",
    "peer",
    "failover",
    "discovery",
    "fanout",
    "multicast",
];

/// Options that ActiveMQ knows and this version does not, without their `transport.` or `wireFormat.` in front.
const OPTIONS_LATER: [&str; 24] = [
    "cacheEnabled",
    "cacheSize",
    "closeAsync",
    "connectionTimeout",
    "daemon",
    "diffServ",
    "dynamicManagement",
    "enabledCipherSuites",
    "ioBufferSize",
    "jmxPort",
    "keepAlive",
    "maxFrameSizeEnabled",
    "minmumWireFormatVersion",
    "socketBufferSize",
    "soLinger",
    "soTimeout",
    "soWriteTimeout",
    "stackTraceEnabled",
    "startLogging",
    "tcpNoDelay",
    "tcpNoDelayEnabled",
    "tightEncodingEnabled",
    "trace",
    "typeOfService",
];

const MS_MAX: u64 = 1 << 40;
/// Lengths on the wire are signed 32-bit numbers.
const FRAME_BYTES_MAX: u64 = i32::MAX as u64;

impl Connector {
    /// Reads a URI; all that is wrong with it comes back at once.
    pub(crate) fn parse(name: &str, uri: &str) -> Result<Connector, Vec<Fault>> {
        let url = Url::parse(uri).map_err(|error| {
            Fault::new(format!("is no URI ({error})"), "write it as tcp://0.0.0.0:61616 or stomp://0.0.0.0:61613")
        })?;
        let mut faults = Vec::new();
        let (protocol, is_tls) = match url.scheme() {
            "tcp" | "nio" => (Protocol::OpenWire, false),
            "ssl" | "nio+ssl" => (Protocol::OpenWire, true),
            "stomp" | "stomp+nio" => (Protocol::Stomp, false),
            "stomp+ssl" | "stomp+nio+ssl" => (Protocol::Stomp, true),
            scheme if SCHEMES_LATER.contains(&scheme) => {
                let remedy = format!("remove the connector or use one of {}", SCHEMES.join(", "));
                return Err(Fault::new(format!("scheme {scheme} is not served by this version"), remedy).into());
            }
            scheme => return Err(unknown("scheme", scheme, &SCHEMES).into()),
        };
        let mut connector = Connector::new(name, uri, protocol, is_tls);
        match url.host_str() {
            Some(host) if !host.is_empty() => connector.host = host.trim_matches(['[', ']']).to_owned(),
            _ => faults
                .push(Fault::new("names no host", "write 0.0.0.0 for all addresses or 127.0.0.1 for this machine")),
        }
        match url.port() {
            Some(port) => connector.port = port,
            None => {
                let habit = match (protocol, is_tls) {
                    (Protocol::OpenWire, false) => 61616,
                    (Protocol::OpenWire, true) => 61617,
                    (Protocol::Stomp, false) => 61613,
                    (Protocol::Stomp, true) => 61614,
                };
                faults.push(Fault::new("names no port", format!("add one behind the host, such as :{habit}")));
            }
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            faults.push(Fault::new("has a path", "write options behind a question mark, nothing else behind the port"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            faults.push(Fault::new("holds a user name", "write users into [security]"));
        }
        for (option, value) in url.query_pairs() {
            if let Err(fault) = connector.set(&option, &value) {
                faults.push(fault);
            }
        }
        if faults.is_empty() { Ok(connector) } else { Err(faults) }
    }

    /// A name for a connector that was given none, `earlier` being those before it.
    pub(crate) fn name_by_habit(&self, earlier: &[Connector]) -> String {
        let plain = super::protocol_name(self.protocol, self.tls.is_some());
        let taken = |name: &str| earlier.iter().any(|other| other.name == name);
        if !taken(plain) {
            return plain.to_owned();
        }
        let mut number = 2;
        while taken(&format!("{plain}-{number}")) {
            number += 1;
        }
        format!("{plain}-{number}")
    }

    /// A connector with ActiveMQ's defaults, not yet bound to anything.
    fn new(name: &str, uri: &str, protocol: Protocol, is_tls: bool) -> Connector {
        Connector {
            name: name.to_owned(),
            uri: uri.to_owned(),
            protocol,
            tls: is_tls.then(TlsOptions::default),
            files: TlsFiles::default(),
            host: String::new(),
            port: 0,
            connections_max: 10_000,
            backlog: 5000,
            frame_bytes_max: 104_857_600,
            inactivity_ms: 30_000,
            inactivity_initial_delay_ms: 10_000,
            login_ms_max: 30_000,
            heart_beat_grace: 1.0,
            consumers_max: 10_000,
            producers_max: 10_000,
        }
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), Fault> {
        let own: &[(&str, SetOption)] = if self.protocol == Protocol::Stomp { &STOMP } else { &OPENWIRE };
        let tls: &[(&str, SetOption)] = if self.tls.is_some() { &TLS } else { &[] };
        let all: Vec<&(&str, SetOption)> = COMMON.iter().chain(own).chain(tls).collect();
        if let Some((_, set)) = all.iter().find(|(name, _)| *name == option) {
            return set(self, value)
                .map_err(|fault| Fault::new(format!("option {option}: {}", fault.what), fault.remedy));
        }
        if let Some(real) = option.strip_prefix("amp;") {
            let what = format!("option {option} starts with a leftover of XML");
            return Err(Fault::new(what, format!("write &{real} in place of &amp;{real}")));
        }
        if TLS.iter().any(|(name, _)| *name == option) {
            let what = format!("option {option} is for connectors with TLS");
            return Err(Fault::new(what, "write ssl:// or stomp+ssl:// in front, or leave the option out"));
        }
        let known: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let bare = option.rsplit_once('.').map_or(option, |(_, bare)| bare);
        if OPTIONS_LATER.contains(&bare) {
            let what = format!("option {option} of ActiveMQ has no counterpart in this version");
            return Err(Fault::new(what, format!("leave it out; known are {}", known.join(", "))));
        }
        Err(unknown("option", option, &known))
    }
}

fn frame_bytes(connector: &mut Connector, value: &str) -> Result<(), Fault> {
    let wanted = || wrong(value, "a number of bytes from 1024 to 2147483647");
    let bytes = size::parse(value).map_err(|_| wanted())?;
    if !(1024..=FRAME_BYTES_MAX).contains(&bytes) {
        return Err(wanted());
    }
    connector.frame_bytes_max = usize::try_from(bytes).map_err(|_| wanted())?;
    Ok(())
}

fn initial_delay(connector: &mut Connector, value: &str) -> Result<(), Fault> {
    number(value, 0, MS_MAX).map(|ms| connector.inactivity_initial_delay_ms = ms as i64)
}

fn need_client_auth(connector: &mut Connector, value: &str) -> Result<(), Fault> {
    let flag = flag(value)?;
    connector.tls.get_or_insert_default().need_client_auth = flag;
    Ok(())
}

fn want_client_auth(connector: &mut Connector, value: &str) -> Result<(), Fault> {
    let flag = flag(value)?;
    connector.tls.get_or_insert_default().want_client_auth = flag;
    Ok(())
}

fn enabled_protocols(connector: &mut Connector, value: &str) -> Result<(), Fault> {
    let (mut has_1_2, mut has_1_3) = (false, false);
    for version in value.split(',').map(str::trim) {
        match version {
            "TLSv1.2" => has_1_2 = true,
            "TLSv1.3" => has_1_3 = true,
            _ => return Err(wrong(value, "TLSv1.2, TLSv1.3 or both with a comma between them")),
        }
    }
    let versions = &mut connector.tls.get_or_insert_default().versions;
    *versions = match (has_1_2, has_1_3) {
        (true, false) => Versions::V1_2,
        (false, true) => Versions::V1_3,
        _ => Versions::Both,
    };
    Ok(())
}

/// Clients' certificates name people and programs; ActiveMQ too does not look for a host in them unless told to.
fn verify_host_name(_: &mut Connector, value: &str) -> Result<(), Fault> {
    match flag(value)? {
        false => Ok(()),
        true => Err(Fault::new("the names of clients' hosts are not verified", "leave it out")),
    }
}

fn flag(value: &str) -> Result<bool, Fault> {
    value.parse().map_err(|_| wrong(value, "true or false"))
}

fn number(value: &str, least: u64, most: u64) -> Result<u64, Fault> {
    let number = value.parse::<u64>().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(value, &format!("a whole number from {least} to {most}")))
}

fn wrong(value: &str, wanted: &str) -> Fault {
    Fault::new(format!("{value:?} does not fit"), format!("write {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(uri: &str, protocol: Protocol, host: &str, port: u16) -> Connector {
        Connector { host: host.into(), port, ..Connector::new("c", uri, protocol, uri.contains("ssl:")) }
    }

    #[test]
    fn uris_are_read_as_activemq_writes_them() {
        use Protocol::{OpenWire, Stomp};
        let check = |uri: &str, protocol, host: &str, port, change: fn(&mut Connector)| {
            let mut expected = base(uri, protocol, host, port);
            change(&mut expected);
            assert_eq!(Connector::parse("c", uri), Ok(expected), "{uri}");
        };
        check("tcp://0.0.0.0:61616", OpenWire, "0.0.0.0", 61616, |_| {});
        check("nio://broker-1.example:61616/", OpenWire, "broker-1.example", 61616, |_| {});
        check("tcp://[::1]:0", OpenWire, "::1", 0, |_| {});
        check("stomp+nio://localhost:61613", Stomp, "localhost", 61613, |_| {});
        check(
            "tcp://0.0.0.0:61616?maximumConnections=1000&backlog=9&wireFormat.maxFrameSize=10485760\
             &wireFormat.maxInactivityDuration=0&wireFormat.maxInactivityDurationInitalDelay=5\
             &transport.connectAttemptTimeout=7",
            OpenWire,
            "0.0.0.0",
            61616,
            |c| {
                c.connections_max = 1000;
                c.backlog = 9;
                c.frame_bytes_max = 10_485_760;
                c.inactivity_ms = 0;
                c.inactivity_initial_delay_ms = 5;
                c.login_ms_max = 7;
            },
        );
        check(
            "stomp://0.0.0.0:61613?transport.hbGracePeriodMultiplier=1.5&wireFormat.maxDataLength=2048",
            Stomp,
            "0.0.0.0",
            61613,
            |c| {
                c.heart_beat_grace = 1.5;
                c.frame_bytes_max = 2048;
            },
        );
    }

    #[test]
    fn tls_is_asked_for_by_the_uri() {
        use Protocol::{OpenWire, Stomp};
        let (need, want) = (ClientAuth::Need, ClientAuth::Want);
        let table = [
            ("ssl://0.0.0.0:61617", OpenWire, ClientAuth::None, Versions::Both),
            ("nio+ssl://h:1?needClientAuth=true", OpenWire, need, Versions::Both),
            ("ssl://h:1?transport.needClientAuth=true&wantClientAuth=true", OpenWire, need, Versions::Both),
            ("stomp+ssl://h:1?transport.wantClientAuth=true", Stomp, want, Versions::Both),
            (
                "ssl://h:1?needClientAuth=false&transport.verifyHostName=false",
                OpenWire,
                ClientAuth::None,
                Versions::Both,
            ),
            ("stomp+nio+ssl://h:1?transport.enabledProtocols=TLSv1.3", Stomp, ClientAuth::None, Versions::V1_3),
            ("ssl://h:1?enabledProtocols=TLSv1.2", OpenWire, ClientAuth::None, Versions::V1_2),
            ("ssl://h:1?enabledProtocols=TLSv1.3,TLSv1.2", OpenWire, ClientAuth::None, Versions::Both),
        ];
        for (uri, protocol, client_auth, versions) in table {
            let connector = Connector::parse("c", uri).expect(uri);
            let tls = connector.tls.expect(uri);
            assert_eq!(
                (connector.protocol, tls.client_auth(), tls.versions),
                (protocol, client_auth, versions),
                "{uri}"
            );
        }
        assert_eq!(Connector::parse("c", "tcp://h:1").expect("plain").tls, None);
    }

    #[test]
    fn each_mistake_in_a_uri_has_a_message_and_a_remedy() {
        let table = [
            ("61616", "is no URI", "tcp://0.0.0.0:61616"),
            ("amqp://0.0.0.0:5672", "scheme amqp is not served by this version", "tcp, nio, ssl, nio+ssl, stomp"),
            ("ssl://0.0.0.0", "names no port", ":61617"),
            ("ssl://h:1?needClientAuth=yes", "\"yes\" does not fit", "true or false"),
            ("ssl://h:1?transport.enabledProtocols=TLSv1.1,TLSv1.2", "does not fit", "TLSv1.2, TLSv1.3"),
            ("ssl://h:1?verifyHostName=true", "not verified", "leave it out"),
            ("ssl://h:1?needClientAut=true", "option needClientAut is unknown", "did you mean needClientAuth"),
            ("tcp://h:1?needClientAuth=true", "is for connectors with TLS", "ssl://"),
            ("tpc://0.0.0.0:61616", "scheme tpc is unknown", "did you mean tcp"),
            ("tcp://0.0.0.0", "names no port", ":61616"),
            ("stomp://0.0.0.0", "names no port", ":61613"),
            ("tcp://:61616", "", ""),
            ("tcp://h:99999", "is no URI (invalid port number)", "tcp://"),
            ("tcp://h:1/queue", "has a path", "question mark"),
            ("tcp://u:p@h:1", "holds a user name", "[security]"),
            ("tcp://h:1?maximumConnection=5", "option maximumConnection is unknown", "did you mean maximumConnections"),
            ("tcp://h:1?nonsense=5", "option nonsense is unknown", "known are maximumConnections"),
            ("tcp://h:1?maximumConnections=0", "option maximumConnections: \"0\" does not fit", "from 1 to"),
            ("tcp://h:1?wireFormat.maxFrameSize=big", "\"big\" does not fit", "number of bytes"),
            ("tcp://h:1?maximumConnections=5&amp;trace=true", "leftover of XML", "write &trace"),
            ("tcp://h:1?transport.soTimeout=5", "no counterpart", "leave it out"),
            ("tcp://h:1?wireFormat.maxDataLength=5", "option wireFormat.maxDataLength is unknown", "maxFrameSize"),
            ("stomp://h:1?transport.hbGracePeriodMultiplier=x", "\"x\" does not fit", "1.0"),
        ];
        for (uri, what, remedy) in table {
            let faults = Connector::parse("c", uri).expect_err(uri);
            assert!(
                faults.iter().any(|fault| fault.what.contains(what) && fault.remedy.contains(remedy)),
                "{uri}: {faults:?}"
            );
        }
    }

    #[test]
    fn all_mistakes_of_a_uri_come_at_once() {
        let faults = Connector::parse("c", "tcp://h?a=1&wireFormat.maxFrameSize=1&tcpNoDelay=true").expect_err("four");
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
