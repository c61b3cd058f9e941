import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.QueueBrowser;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import org.apache.activemq.ActiveMQConnection;

/** Queue browsers: copies in order, an end, and nothing taken away. */
final class Browsing {
    private Browsing() {}

    static void cases(Runner r) {
        r.add("browse.all-in-order", c -> {
            c.put(c.queue(), Case.numbered("m", 10));
            Check.same(List.of(Case.numbered("m", 10)), browse(c, null), "browsed");
        });
        r.add("browse.empty-queue-ends", c -> Check.same(List.of(), browse(c, null), "browsed"));
        r.add("browse.copies-only", c -> {
            c.put(c.queue(), "a", "b");
            browse(c, null);
            browse(c, null);
            MessageConsumer consumer = c.auto(c.connect()).createConsumer(c.queue());
            Acks.redelivered(c, consumer, "a", false, 1);
            Acks.redelivered(c, consumer, "b", false, 1);
            c.nothing(consumer, "after the last one");
            Check.same(List.of(), browse(c, null), "browsed afterwards");
        });
        r.add("browse.selector", c -> {
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 10; i++) {
                TextMessage m = session.createTextMessage("m" + i);
                m.setIntProperty("n", i);
                producer.send(m);
            }
            Check.same(List.of("m7", "m8", "m9"), browse(c, "n >= 7"), "browsed");
            Check.same(List.of(), browse(c, "n >= 70"), "browsed with a selector that matches nothing");
        });
        r.add("browse.more-than-a-page", c -> {
            c.put(c.queue(), Case.numbered("m", 380));
            Check.same(List.of(Case.numbered("m", 380)), browse(c, null), "browsed");
        });
        r.add("browse.beside-a-consumer", c -> {
            c.put(c.queue(), "a", "b", "c");
            Session session = c.connect("jms.prefetchPolicy.queuePrefetch=1").createSession(false, Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a");
            List<String> seen = browse(c, null);
            Check.that(seen.containsAll(List.of("b", "c")), "browsed only " + seen);
            c.expect(consumer, "b");
            c.take(consumer, "c").acknowledge();
        });
        r.add("browse.priority-and-properties", c -> {
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            TextMessage m = session.createTextMessage("x");
            m.setStringProperty("key", Messages.BASIC);
            m.setJMSCorrelationID("cid");
            producer.send(m);
            QueueBrowser browser = session.createBrowser(c.queue());
            TextMessage got = (TextMessage) browser.getEnumeration().nextElement();
            Check.same(Messages.BASIC, got.getStringProperty("key"), "property");
            Check.same("cid", got.getJMSCorrelationID(), "JMSCorrelationID");
            Check.same(m.getJMSMessageID(), got.getJMSMessageID(), "JMSMessageID");
            browser.close();
        });
        r.add("browse.same-browser-twice", c -> {
            Session session = c.auto(c.connect());
            Case.send(session, c.queue(), "a");
            QueueBrowser browser = session.createBrowser(c.queue());
            Check.same(List.of("a"), all(browser), "first enumeration");
            Case.send(session, c.queue(), "b");
            Check.same(List.of("a", "b"), all(browser), "second enumeration");
            browser.close();
        });
        r.add("browse.closed-early", c -> {
            c.put(c.queue(), Case.numbered("m", 50));
            Session session = c.auto(c.connect());
            QueueBrowser browser = session.createBrowser(c.queue());
            Enumeration<?> some = browser.getEnumeration();
            for (int i = 0; i < 5; i++) Check.same("m" + i, ((TextMessage) some.nextElement()).getText(), "text");
            browser.close();
            c.expect(session.createConsumer(c.queue()), Case.numbered("m", 50));
        });
    }

    private static List<String> browse(Case c, String selector) throws JMSException {
        ActiveMQConnection one = c.connect();
        QueueBrowser browser = c.auto(one).createBrowser(c.queue(), selector);
        List<String> texts = all(browser);
        one.close();
        return texts;
    }

    private static List<String> all(QueueBrowser browser) throws JMSException {
        List<String> texts = new ArrayList<>();
        for (Enumeration<?> e = browser.getEnumeration(); e.hasMoreElements(); ) texts.add(((TextMessage) e.nextElement()).getText());
        return texts;
    }
}
