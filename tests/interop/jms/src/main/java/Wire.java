import jakarta.jms.DeliveryMode;
import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.List;
import org.apache.activemq.ActiveMQConnection;

/** Options of the client and of the wire format that change what goes over the wire. */
final class Wire {
    private Wire() {}

    private static final String[] OPTIONS = {
        "jms.useAsyncSend=true",
        "jms.alwaysSyncSend=true",
        "jms.optimizeAcknowledge=true",
        "jms.optimizeAcknowledge=true&jms.optimizeAcknowledgeTimeOut=0&jms.prefetchPolicy.all=10",
        "jms.dispatchAsync=true",
        "jms.dispatchAsync=false",
        "jms.alwaysSessionAsync=false",
        "jms.copyMessageOnSend=false",
        "jms.disableTimeStampsByDefault=true",
        "jms.watchTopicAdvisories=false",
        "jms.sendAcksAsync=false",
        "jms.checkForDuplicates=false",
        "jms.transactedIndividualAck=true",
        "jms.messagePrioritySupported=true",
        "jms.nestedMapAndListEnabled=false",
        "jms.useRetroactiveConsumer=true",
        "wireFormat.tightEncodingEnabled=false",
        "wireFormat.cacheEnabled=false",
        "wireFormat.cacheEnabled=false&wireFormat.tightEncodingEnabled=false",
        "wireFormat.sizePrefixDisabled=false",
        "wireFormat.stackTraceEnabled=false",
        "wireFormat.tcpNoDelayEnabled=false",
        "wireFormat.maxFrameSize=1000000",
        "wireFormat.maxInactivityDuration=0",
        "keepAlive=true&tcpNoDelay=true&soTimeout=30000",
        "jms.useCompression=true&wireFormat.tightEncodingEnabled=false",
    };

    static void cases(Runner r) {
        for (String option : OPTIONS) r.add("wire.option." + option, c -> round(c, option));
        for (int version = 1; version <= 12; version++) {
            String option = "wireFormat.version=" + version;
            r.add("wire.version." + version, c -> round(c, option));
            r.add("wire.version." + version + ".loose", c -> round(c, option + "&wireFormat.tightEncodingEnabled=false"));
        }
        r.add("wire.producer-window", c -> {
            ActiveMQConnection one = c.connect("jms.producerWindowSize=20000&jms.useAsyncSend=true");
            Session session = c.auto(one);
            String pad = "w".repeat(1000);
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 200; i++) producer.send(session.createTextMessage(i + pad));
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            for (int i = 200; i < 400; i++) producer.send(session.createTextMessage(i + pad));
            MessageConsumer consumer = session.createConsumer(c.queue());
            for (int i = 0; i < 400; i++) c.expect(consumer, i + pad);
        });
        r.add("wire.producer-window.topic", c -> {
            ActiveMQConnection one = c.connect("jms.producerWindowSize=5000&jms.useAsyncSend=true");
            Session session = c.auto(one);
            MessageConsumer consumer = session.createConsumer(c.topic());
            String pad = "w".repeat(1000);
            for (int i = 0; i < 50; i++) Case.send(session, c.topic(), i + pad);
            MessageProducer producer = session.createProducer(c.topic());
            for (int i = 50; i < 150; i++) producer.send(session.createTextMessage(i + pad));
            for (int i = 0; i < 150; i++) c.expect(consumer, i + pad);
        });
        r.add("wire.idle-keepalive", c -> {
            ActiveMQConnection one = c.connect("wireFormat.maxInactivityDuration=1500&wireFormat.maxInactivityDurationInitalDelay=500");
            Session session = c.auto(one);
            MessageConsumer consumer = session.createConsumer(c.queue());
            Exception[] broken = new Exception[1];
            one.setExceptionListener(e -> broken[0] = e);
            Thread.sleep(4000);
            Check.that(broken[0] == null, "the connection broke: " + broken[0]);
            Case.send(session, c.queue(), "still here");
            c.expect(consumer, "still here");
        });
        r.add("wire.connect-and-close-often", c -> {
            for (int i = 0; i < 40; i++) {
                ActiveMQConnection one = c.connect();
                c.auto(one).createProducer(c.queue());
                one.close();
            }
        });
        r.add("wire.many-sessions-and-consumers", c -> {
            ActiveMQConnection one = c.connect();
            MessageConsumer[] consumers = new MessageConsumer[100];
            for (int i = 0; i < 100; i++) consumers[i] = c.auto(one).createConsumer(c.queue("q" + i));
            Session session = c.auto(one);
            for (int i = 0; i < 100; i++) Case.send(session, c.queue("q" + i), "m" + i);
            for (int i = 0; i < 100; i++) c.expect(consumers[i], "m" + i);
        });
        r.add("wire.cache-more-than-1024-names", c -> {
            // The wire format remembers objects in a table that wraps around.
            ActiveMQConnection one = c.connect("jms.useAsyncSend=true&jms.watchTopicAdvisories=false");
            Session session = c.auto(one);
            MessageConsumer consumer = session.createConsumer(c.topic(">"));
            MessageProducer producer = session.createProducer(null);
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            for (int i = 0; i < 1500; i++) producer.send(c.topic("n" + i), session.createTextMessage("m" + i));
            for (int i = 0; i < 1500; i++) {
                TextMessage m = (TextMessage) c.take(consumer, "message " + i);
                Check.same("m" + i, m.getText(), "text");
                Check.same(c.topic("n" + i), m.getJMSDestination(), "JMSDestination");
            }
        });
    }

    /** The same small round of work with any option. */
    private static void round(Case c, String options) throws JMSException {
        ActiveMQConnection one = c.connectAs(c.unique("id"), options);
        Session session = c.auto(one);
        MessageConsumer topic = session.createConsumer(c.topic());
        MessageConsumer durable = session.createDurableSubscriber(c.topic(), "sub", "n > 0", false);
        MessageConsumer queue = session.createConsumer(c.queue());
        MessageProducer producer = session.createProducer(null);
        for (int i = 0; i < 12; i++) {
            TextMessage m = session.createTextMessage("m" + i);
            m.setIntProperty("n", i);
            m.setStringProperty("odd", Messages.BASIC);
            m.setJMSReplyTo(c.queue("replies"));
            m.setJMSCorrelationID("c" + i);
            // Not mixed on the queue: a broker may let non-persistent messages pass persistent ones.
            producer.setDeliveryMode(i % 2 == 0 ? DeliveryMode.PERSISTENT : DeliveryMode.NON_PERSISTENT);
            producer.send(c.topic(), m);
            producer.setDeliveryMode(DeliveryMode.PERSISTENT);
            producer.send(c.queue(), m);
        }
        for (int i = 0; i < 12; i++) {
            c.expect(topic, "m" + i);
            if (i > 0) c.expect(durable, "m" + i);
            TextMessage m = (TextMessage) c.take(queue, "message " + i);
            Check.same("m" + i, m.getText(), "text");
            Check.same(i, m.getIntProperty("n"), "int property");
            Check.same(Messages.BASIC, m.getStringProperty("odd"), "string property");
            Check.same(c.queue("replies"), m.getJMSReplyTo(), "JMSReplyTo");
            Check.same("c" + i, m.getJMSCorrelationID(), "JMSCorrelationID");
        }
        Session tx = c.transacted(one);
        Case.send(tx, c.queue(), "rolled back");
        tx.rollback();
        Case.send(tx, c.queue(), "committed");
        tx.commit();
        c.expect(queue, "committed");
        MessageConsumer replies = session.createConsumer(session.createTemporaryQueue());
        replies.close();
        durable.close();
        session.unsubscribe("sub");
        one.close();
        Check.same(List.of(), c.drain(c.queue()), "left over");
    }
}
