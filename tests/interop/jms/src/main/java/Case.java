import jakarta.jms.Connection;
import jakarta.jms.ConnectionFactory;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;

/** What one case works with: its own destination names, connections that close with it, bounded receives. */
final class Case implements AutoCloseable {
    static String url;
    static boolean failover;
    /** Distinguishes runs, so that a broker with old data serves a new run. */
    static final String RUN = Long.toString(System.currentTimeMillis(), 36);
    static final long WAIT = 30000;
    /** Multiplies the bounds on a slow machine. */
    static int slow = 1;
    /** How long a case waits before it believes that nothing comes. */
    static final long QUIET = 400;

    final String name;
    private final List<Connection> open = Collections.synchronizedList(new ArrayList<>());
    private volatile String step;

    Case(String name) {
        this.name = name;
    }

    void step(String what) {
        step = what;
    }

    Optional<String> lastStep() {
        return Optional.ofNullable(step);
    }

    /** A destination name of this case and this run. */
    String unique(String suffix) {
        return "jms." + RUN + "." + name.replace('.', '-') + (suffix.isEmpty() ? "" : "." + suffix);
    }

    Queue queue(String suffix) {
        return new ActiveMQQueue(unique(suffix));
    }

    Queue queue() {
        return queue("q");
    }

    Topic topic(String suffix) {
        return new ActiveMQTopic(unique(suffix));
    }

    Topic topic() {
        return topic("t");
    }

    /** The broker address with more options, e.g. "jms.prefetchPolicy.all=1&wireFormat.version=3". */
    static String address(String options) {
        StringBuilder inner = new StringBuilder();
        StringBuilder outer = new StringBuilder();
        for (String option : options.split("&")) {
            if (option.isEmpty()) continue;
            boolean client = option.startsWith("jms.");
            StringBuilder into = failover && client ? outer : inner;
            into.append(into.length() == 0 ? "" : "&").append(option);
        }
        String target = inner.length() == 0 ? url : url + (url.contains("?") ? "&" : "?") + inner;
        if (!failover) return target;
        return "failover:(" + target + ")?timeout=30000&startupMaxReconnectAttempts=3"
            + (outer.length() == 0 ? "" : "&" + outer);
    }

    static ActiveMQConnectionFactory factory(String options) {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(address(options));
        factory.setTrustAllPackages(true);
        factory.setConnectResponseTimeout(30000);
        return factory;
    }

    /** A started connection with the given URL options. */
    ActiveMQConnection connect(String options) throws JMSException {
        step("connecting");
        ActiveMQConnection connection = fresh(factory(options));
        connection.start();
        return connection;
    }

    ActiveMQConnection connect() throws JMSException {
        return connect("");
    }

    /** A started connection with a client id. */
    ActiveMQConnection connectAs(String clientId, String options) throws JMSException {
        ActiveMQConnection connection = fresh(factory(options));
        connection.setClientID(clientId);
        connection.start();
        return connection;
    }

    /** A connection that is not started; closed with the case. */
    ActiveMQConnection fresh(ConnectionFactory factory) throws JMSException {
        Connection connection = factory.createConnection();
        open.add(connection);
        return (ActiveMQConnection) connection;
    }

    Session auto(Connection connection) throws JMSException {
        return connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    }

    Session transacted(Connection connection) throws JMSException {
        return connection.createSession(true, Session.SESSION_TRANSACTED);
    }

    /** Sends texts over a connection of its own. */
    void put(Destination to, String... texts) throws JMSException {
        ActiveMQConnection connection = connect();
        send(auto(connection), to, texts);
        connection.close();
    }

    static void send(Session session, Destination to, String... texts) throws JMSException {
        MessageProducer producer = session.createProducer(to);
        for (String text : texts) producer.send(session.createTextMessage(text));
        producer.close();
    }

    /** The texts first+0 … first+(count-1). */
    static String[] numbered(String first, int count) {
        String[] texts = new String[count];
        for (int i = 0; i < count; i++) texts[i] = first + i;
        return texts;
    }

    Message take(MessageConsumer consumer, String what) throws JMSException {
        step("waiting for " + what);
        return Check.present(consumer.receive(WAIT * slow), what);
    }

    String takeText(MessageConsumer consumer) throws JMSException {
        return ((TextMessage) take(consumer, "a message")).getText();
    }

    /** Expects exactly these texts next, in this order. */
    void expect(MessageConsumer consumer, String... texts) throws JMSException {
        for (String text : texts) {
            Message got = take(consumer, "message " + text);
            Check.same(text, ((TextMessage) got).getText(), "text of the next message");
        }
    }

    void nothing(MessageConsumer consumer, String what) throws JMSException {
        step("expecting nothing: " + what);
        Message got = consumer.receive(QUIET);
        Check.absent(got instanceof TextMessage t ? t.getText() : got, what);
    }

    /** Everything that comes until it stays quiet. */
    List<String> drain(MessageConsumer consumer) throws JMSException {
        List<String> texts = new ArrayList<>();
        long wait = 1000;
        for (Message m = consumer.receive(wait); m != null; m = consumer.receive(QUIET)) texts.add(((TextMessage) m).getText());
        return texts;
    }

    /** What a queue holds now, over a connection of its own. */
    List<String> drain(Destination from) throws JMSException {
        ActiveMQConnection connection = connect();
        List<String> texts = drain(auto(connection).createConsumer(from));
        connection.close();
        return texts;
    }

    @Override
    public void close() {
        for (Connection connection : new ArrayList<>(open)) {
            try {
                connection.close();
            } catch (Exception e) {
                // Closing is only tidying up here.
            }
        }
    }
}
