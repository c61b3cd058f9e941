//! The address of a broker as its own URI writes it.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// What is spoken at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    OpenWire,
    Stomp,
}

/// `tcp://host:port` for OpenWire, `stomp://host:port` for STOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) protocol: Protocol,
    pub(crate) address: SocketAddr,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("{text:?} is not SCHEME://HOST:PORT"))?;
        let (protocol, port) = match scheme {
            "tcp" | "openwire" | "auto" => (Protocol::OpenWire, 61616),
            "stomp" => (Protocol::Stomp, 61613),
            _ => return Err(format!("scheme {scheme:?} is neither tcp nor stomp")),
        };
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        let place = if place.contains(':') { place.to_owned() } else { format!("{place}:{port}") };
        let mut addresses = place.to_socket_addrs().map_err(|error| format!("cannot resolve {place:?}: {error}"))?;
        let address = addresses.next().ok_or_else(|| format!("{place:?} has no address"))?;
        Ok(Self { protocol, address })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.protocol {
            Protocol::OpenWire => "tcp",
            Protocol::Stomp => "stomp",
        };
        write!(f, "{scheme}://{}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both schemes, default ports, options cut off; anything else is refused with a reason.
    #[test]
    fn uris() {
        let check = |text: &str, want: &str| match text.parse::<Target>() {
            Ok(target) => assert_eq!(target.to_string(), want),
            Err(error) => assert!(error.contains(want), "{error}"),
        };
        check("tcp://127.0.0.1:1", "tcp://127.0.0.1:1");
        check("tcp://127.0.0.1:1?wireFormat.cacheEnabled=false", "tcp://127.0.0.1:1");
        check("stomp://127.0.0.1", "stomp://127.0.0.1:61613");
        check("mqtt://127.0.0.1", "neither");
        check("127.0.0.1:3", "SCHEME");
    }
}
