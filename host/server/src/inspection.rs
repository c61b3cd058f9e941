//! What one client sent together is looked at before the core gets it, where an auth policy wants that.

use std::sync::Arc;

use broker::{number_of, property_of};
use message::{Command, Message, Refusal, RefusalKind};
use plugin::auth::Principal;
use plugin::{Columns, Messages, Scalar};
use session::{Admitted, Inspector};

/// Bytes of a policy's reason that the sender gets to see.
const REASON_BYTES_MAX: usize = 1024;

/// Looks at the messages of one connection.
pub(crate) struct Inspection {
    inspector: Arc<dyn Inspector>,
    /// Nobody before the login, who sends nothing either.
    principal: Arc<Principal>,
    judgements: Vec<Option<String>>,
}

impl Inspection {
    pub(crate) fn new(inspector: Arc<dyn Inspector>) -> Inspection {
        Inspection { inspector, principal: Arc::default(), judgements: Vec::new() }
    }

    /// The login was accepted.
    pub(crate) fn admit(&mut self, admitted: &Admitted) {
        self.principal = admitted.principal.clone();
    }

    /// Turns each message that may not be sent into the word of that.
    pub(crate) fn look(&mut self, commands: &mut [Command], now_ms: i64) {
        if !self.inspector.looks() {
            return;
        }
        let sent = |command: &Command| match command {
            Command::Publish(publish) => Some(publish.message.clone()),
            _ => None,
        };
        let messages: Vec<Arc<Message>> = commands.iter().filter_map(sent).collect();
        if messages.is_empty() {
            return;
        }
        self.inspector.inspect(&self.principal, &Sent(&messages), now_ms, &mut self.judgements);
        // The core stamps a message while it is its only holder.
        drop(messages);
        let mut judgements = self.judgements.drain(..);
        for command in commands {
            let Command::Publish(publish) = command else { continue };
            // A row without a judgement passes nobody's eyes.
            let reason = match judgements.next() {
                Some(None) => continue,
                Some(Some(reason)) => reason,
                None => "it was not looked at".to_owned(),
            };
            let (user, to) = (&self.principal.name, &publish.message.destination);
            let text = format!("User {user} is not authorized to send this message to: {to}: {}", plain(&reason));
            *command = Command::Forbidden { publish: publish.clone(), why: Refusal::new(RefusalKind::Security, text) };
        }
    }
}

/// The reason as it may stand in a client's error.
fn plain(reason: &str) -> String {
    let end = reason.floor_char_boundary(REASON_BYTES_MAX);
    reason[..end].chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// Messages as policies look at them.
struct Sent<'a>(&'a [Arc<Message>]);

impl Messages for Sent<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn number(&self, row: usize, column: Columns) -> i64 {
        number_of(&self.0[row], column)
    }

    fn property(&self, row: usize, name: &str) -> Scalar<'_> {
        match name {
            "JMSDestination" => Scalar::Text(self.0[row].destination.to_string().into()),
            _ => property_of(&self.0[row], name),
        }
    }
}

#[cfg(test)]
mod tests {
    use message::{Destination, MessageId, Publish};

    use super::*;

    /// Refuses what is larger than its number, and whatever comes behind the number of judgements that it gives.
    struct Small(i64, usize);

    impl Inspector for Small {
        fn inspect(&self, who: &Principal, messages: &dyn Messages, _: i64, judgements: &mut Vec<Option<String>>) {
            assert_eq!(who.name, "ann");
            judgements.clear();
            let judge = |row| {
                let to = messages.property(row, "JMSDestination");
                assert_eq!(to.to_text().as_deref(), Some("queue://Q"));
                (messages.number(row, Columns::SIZE) > self.0).then(|| "too\nlarge".to_owned())
            };
            judgements.extend((0..messages.rows().min(self.1)).map(judge));
        }
    }

    fn sent(bytes: usize) -> Command {
        let to = Destination::queue("Q".to_owned());
        let message = Message { content: Some(vec![0; bytes].into()), ..Message::new(MessageId::default(), to) };
        Command::Publish(Publish { message: Arc::new(message), transaction: None, receipt: None, window_bytes: None })
    }

    fn look(inspector: Small) -> Vec<Option<String>> {
        let mut inspection = Inspection::new(Arc::new(inspector));
        let principal = Arc::new(Principal { name: "ann".into(), groups: vec![] });
        inspection.admit(&Admitted { principal, until_ms: i64::MAX });
        let mut commands = vec![sent(1), Command::Fence { receipt: 1 }, sent(100_000), sent(2)];
        inspection.look(&mut commands, 0);
        let told = |command| match command {
            Command::Forbidden { why, .. } => Some(Some(why.message.to_string())),
            Command::Publish(_) => Some(None),
            _ => None,
        };
        commands.into_iter().filter_map(told).collect()
    }

    #[test]
    fn what_may_not_be_sent_is_turned_into_the_word_of_that() {
        let refused = |why: &str| Some(format!("User ann is not authorized to send this message to: queue://Q: {why}"));
        assert_eq!(look(Small(50_000, 9)), [None, refused("too large"), None]);
        assert_eq!(look(Small(i64::MAX, 2)), [None, None, refused("it was not looked at")]);
    }
}
