//! Which protocol two builds speak with each other.

use wasmnode_provider_api::{Error, Hello, Welcome};

/// The protocol's major number that this build prefers.
pub const PROTOCOL: u32 = 1;

/// The oldest major number that this build speaks: the one before, once there is one.
pub const OLDEST_PROTOCOL: u32 = if PROTOCOL > 1 { PROTOCOL - 1 } else { 1 };

/// The server's choice. A client speaks the number before the one that it prefers, too.
pub(crate) fn agreed(hello: &Hello) -> Result<u32, Error> {
    let common = hello.protocol.min(PROTOCOL);
    if common >= OLDEST_PROTOCOL && common + 1 >= hello.protocol {
        return Ok(common);
    }
    let Hello { protocol, build } = hello;
    let advice = if *protocol > PROTOCOL {
        "upgrade one release at a time, or end this runner's pods"
    } else {
        "upgrade the agent again, or end this runner's pods"
    };
    let own = env!("CARGO_PKG_VERSION");
    Err(Error::Failed(format!(
        "agent {build} speaks protocol {protocol}, and this runner {own} speaks {OLDEST_PROTOCOL} to {PROTOCOL}; {advice}"
    )))
}

/// The client's check of what the server chose.
pub(crate) fn accept(hello: &Hello, welcome: &Welcome) -> Result<(), Error> {
    let Welcome { protocol, build, .. } = welcome;
    if (hello.protocol.saturating_sub(1).max(1)..=hello.protocol).contains(protocol) {
        return Ok(());
    }
    let (own, asked) = (&hello.build, hello.protocol);
    Err(Error::Failed(format!(
        "runner {build} speaks protocol {protocol}, and this agent {own} speaks {asked} and the one before; use an \
         agent of the runner's release to end its pods"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(protocol: u32) -> Hello {
        Hello { protocol, build: "7.8.9".to_owned() }
    }

    #[test]
    fn speaks_what_both_know() {
        assert_eq!(agreed(&hello(PROTOCOL)), Ok(PROTOCOL));
        assert_eq!(agreed(&hello(PROTOCOL + 1)), Ok(PROTOCOL), "a newer agent knows this one, too");
        assert_eq!(agreed(&hello(OLDEST_PROTOCOL)), Ok(OLDEST_PROTOCOL));
    }

    #[test]
    fn refuses_what_is_too_far_and_names_both_builds() {
        for protocol in [0, PROTOCOL + 2, u32::MAX] {
            let Err(Error::Failed(text)) = agreed(&hello(protocol)) else { panic!("{protocol} should be refused") };
            assert!(text.contains("agent 7.8.9") && text.contains(env!("CARGO_PKG_VERSION")), "{text}");
        }
    }

    #[test]
    fn a_client_knows_its_own_and_the_one_before() {
        let welcome = |protocol| Welcome {
            protocol,
            build: "1.2.3".to_owned(),
            runtime: String::new(),
            engines: Vec::new(),
            capacity: 1,
            features: Vec::new(),
        };
        assert_eq!(accept(&hello(3), &welcome(3)), Ok(()));
        assert_eq!(accept(&hello(3), &welcome(2)), Ok(()));
        for (asked, chosen) in [(3, 1), (3, 4), (1, 0)] {
            let refusal = accept(&hello(asked), &welcome(chosen));
            assert!(matches!(&refusal, Err(Error::Failed(text)) if text.contains("1.2.3")), "{refusal:?}");
        }
    }
}
