//! Connector URIs as ActiveMQ writes them: `tcp://0.0.0.0:61616?maximumConnections=1000&wireFormat.maxFrameSize=104857600`.

use session::Protocol;
use url::Url;

use super::keys::{Key, plain, text};
use super::problem::{Fault, unknown};
use super::size;

/// One port that clients connect to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connector {
    /// Name for people, unique among the connectors.
    pub(crate) name: String,
    /// The URI as it was written.
    pub(crate) uri: String,
    /// Which protocol is spoken.
    pub(crate) protocol: Protocol,
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

/// Schemes that ActiveMQ serves and this version does not.
const SCHEMES_LATER: [&str; 29] = [
    "ssl",
    "nio+ssl",
    "auto",
    "auto+nio",
    "auto+ssl",
    "auto+nio+ssl",
    "stomp+ssl",
    "stomp+nio+ssl",
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
const OPTIONS_LATER: [&str; 26] = [
    "cacheEnabled",
    "cacheSize",
    "closeAsync",
    "connectionTimeout",
    "daemon",
    "diffServ",
    "dynamicManagement",
    "enabledCipherSuites",
    "enabledProtocols",
    "ioBufferSize",
    "jmxPort",
    "keepAlive",
    "maxFrameSizeEnabled",
    "minmumWireFormatVersion",
    "needClientAuth",
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
        let protocol = match url.scheme() {
            "tcp" | "nio" => Protocol::OpenWire,
            "stomp" | "stomp+nio" => Protocol::Stomp,
            scheme if SCHEMES_LATER.contains(&scheme) => {
                let remedy = "remove the connector or use one of tcp, nio, stomp, stomp+nio";
                return Err(Fault::new(format!("scheme {scheme} is not served by this version"), remedy).into());
            }
            scheme => return Err(unknown("scheme", scheme, &["tcp", "nio", "stomp", "stomp+nio"]).into()),
        };
        let mut connector = Connector::new(name, uri, protocol);
        match url.host_str() {
            Some(host) if !host.is_empty() => connector.host = host.trim_matches(['[', ']']).to_owned(),
            _ => faults
                .push(Fault::new("names no host", "write 0.0.0.0 for all addresses or 127.0.0.1 for this machine")),
        }
        match url.port() {
            Some(port) => connector.port = port,
            None => {
                let habit = if protocol == Protocol::Stomp { 61613 } else { 61616 };
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
        let plain = super::protocol_name(self.protocol);
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
    fn new(name: &str, uri: &str, protocol: Protocol) -> Connector {
        Connector {
            name: name.to_owned(),
            uri: uri.to_owned(),
            protocol,
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
        let all: Vec<&(&str, SetOption)> = COMMON.iter().chain(own).collect();
        if let Some((_, set)) = all.iter().find(|(name, _)| *name == option) {
            return set(self, value)
                .map_err(|fault| Fault::new(format!("option {option}: {}", fault.what), fault.remedy));
        }
        if let Some(real) = option.strip_prefix("amp;") {
            let what = format!("option {option} starts with a leftover of XML");
            return Err(Fault::new(what, format!("write &{real} in place of &amp;{real}")));
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
        Connector { host: host.into(), port, ..Connector::new("c", uri, protocol) }
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
    fn each_mistake_in_a_uri_has_a_message_and_a_remedy() {
        let table = [
            ("61616", "is no URI", "tcp://0.0.0.0:61616"),
            ("ssl://0.0.0.0:61617", "scheme ssl is not served by this version", "tcp, nio, stomp, stomp+nio"),
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
