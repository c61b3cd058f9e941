import jakarta.jms.Connection;
import jakarta.jms.JMSException;
import jakarta.jms.JMSSecurityException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;

/**
 * Against a broker with two users: "ann" with "secret" may do everything, "bob" with "other" reads R.> and writes W.>,
 * everybody reads ActiveMQ.Advisory.>. The program started by against-jackfield.sh has them; a real ActiveMQ with the same
 * users and authorizationEntries answers the same.
 */
final class Secured {
    private Secured() {}

    interface Act {
        void run(Session session) throws Exception;
    }

    static void cases(Runner runner) {
        runner.add("secured.wrong-password", c -> {
            for (String[] login : new String[][] {{"ann", "wrong"}, {"nobody", "secret"}, {"ann", ""}, {null, null}}) {
                JMSException why = Check.fails(JMSException.class, () -> open(login[0], login[1], ""), "login of " + login[0]);
                Check.that(why instanceof JMSSecurityException || String.valueOf(why.getMessage()).contains("is invalid"),
                    "login of " + login[0] + " fails with " + Check.text(why));
            }
        });
        runner.add("secured.rights", c -> {
            with("ann", "secret", "", session -> {
                for (String name : new String[] {"R.q", "W.q", "OTHER.q"}) {
                    session.createProducer(session.createQueue(name)).send(session.createTextMessage("x"));
                }
            });
            with("bob", "other", "", session -> {
                Queue r = session.createQueue("R.q");
                Queue w = session.createQueue("W.q");
                refused(() -> session.createConsumer(w), "consuming from W.q");
                refused(() -> session.createBrowser(w).getEnumeration(), "browsing W.q");
                refused(() -> session.createConsumer(session.createQueue(">")), "consuming from >");
                refused(() -> session.createConsumer(session.createQueue("R.new")), "making R.new");
                refused(() -> session.createProducer(r), "a producer for R.q");
                MessageProducer anonymous = session.createProducer(null);
                refused(() -> anonymous.send(r, session.createTextMessage("x")), "sending to R.q");
                refused(() -> anonymous.send(session.createQueue("W.q,OTHER.q"), session.createTextMessage("x")), "a composite");
                refused(() -> anonymous.send(session.createTopic("T"), session.createTextMessage("x")), "sending to a topic");
                anonymous.send(w, session.createTextMessage("x"));
                MessageConsumer consumer = session.createConsumer(r);
                Check.present(consumer.receive(Case.WAIT), "a message of R.q");
            });
        });
        runner.add("secured.request-reply", c -> with("bob", "other", "", session -> {
            Queue answers = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(answers);
            session.createProducer(answers).send(session.createTextMessage("answer"));
            TextMessage got = (TextMessage) Check.present(consumer.receive(Case.WAIT), "an answer");
            Check.same("answer", got.getText(), "text");
        }));
        runner.add("secured.async-send", c -> {
            Connection connection = open("bob", "other", "jms.useAsyncSend=true");
            try {
                AtomicReference<JMSException> heard = new AtomicReference<>();
                CountDownLatch told = new CountDownLatch(1);
                connection.setExceptionListener(e -> {
                    heard.set(e);
                    told.countDown();
                });
                connection.start();
                Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
                session.createProducer(null).send(session.createQueue("OTHER.q"), session.createTextMessage("x"));
                Check.that(told.await(Case.WAIT, TimeUnit.MILLISECONDS), "nobody heard of the refused send");
                Check.that(heard.get().getMessage().contains("not authorized to write to"), Check.text(heard.get()));
            } finally {
                close(connection);
            }
        });
        runner.add("secured.transaction", c -> {
            Connection connection = open("bob", "other", "");
            try {
                Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
                session.createProducer(null).send(session.createQueue("OTHER.q"), session.createTextMessage("x"));
                JMSException why = Check.fails(JMSException.class, session::commit, "committing a refused send");
                Check.that(why.getMessage().contains("not authorized"), Check.text(why));
            } finally {
                close(connection);
            }
        });
        runner.add("secured.sender", c -> with("ann", "secret", "", ann -> {
            ann.createProducer(ann.createQueue("W.sender")).send(ann.createTextMessage("ann"));
            MessageConsumer consumer = ann.createConsumer(ann.createQueue("W.sender"));
            with("bob", "other", "", bob -> {
                TextMessage message = bob.createTextMessage("bob");
                ((ActiveMQMessage) message).setUserID("ann");
                bob.createProducer(null).send(bob.createQueue("W.sender"), message);
            });
            for (int i = 0; i < 2; i++) {
                TextMessage got = (TextMessage) Check.present(consumer.receive(Case.WAIT), "a message");
                Check.same(got.getText(), got.getStringProperty("JMSXUserID"), "JMSXUserID");
            }
        }));
    }

    private static Connection open(String user, String password, String options) throws JMSException {
        ActiveMQConnectionFactory factory = Case.factory(options);
        Connection connection = factory.createConnection(user, password);
        try {
            connection.start();
            return connection;
        } catch (JMSException e) {
            close(connection);
            throw e;
        }
    }

    private static void with(String user, String password, String options, Act act) throws Exception {
        Connection connection = open(user, password, options);
        try {
            act.run(connection.createSession(false, Session.AUTO_ACKNOWLEDGE));
        } finally {
            close(connection);
        }
    }

    private static void refused(Check.Act act, String what) {
        JMSException why = Check.fails(JMSException.class, act, what);
        Check.that(String.valueOf(why.getMessage()).contains("is not authorized to"), what + " fails with " + Check.text(why));
    }

    private static void close(Connection connection) {
        try {
            connection.close();
        } catch (JMSException e) {
            // It is broken already.
        }
    }
}
