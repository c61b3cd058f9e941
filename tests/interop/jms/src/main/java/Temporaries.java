import jakarta.jms.Destination;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TemporaryTopic;
import jakarta.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;

/** Temporary queues and topics belong to their connection and go with it. */
final class Temporaries {
    private Temporaries() {}

    static void cases(Runner r) {
        r.add("temp.request-reply.queue", c -> requestReply(c, false));
        r.add("temp.request-reply.topic", c -> requestReply(c, true));
        r.add("temp.names-differ", c -> {
            Session a = c.auto(c.connect());
            Session b = c.auto(c.connect());
            String[] names = {a.createTemporaryQueue().getQueueName(), a.createTemporaryQueue().getQueueName(), b.createTemporaryQueue().getQueueName()};
            Check.that(!names[0].equals(names[1]) && !names[0].equals(names[2]), "same name twice: " + names[0]);
        });
        r.add("temp.only-owner-consumes.client", c -> {
            TemporaryQueue mine = c.auto(c.connect()).createTemporaryQueue();
            Session other = c.auto(c.connect());
            Check.fails(InvalidDestinationException.class, () -> other.createConsumer(mine), "consumer on a foreign temporary queue");
        });
        r.add("temp.session-closed-queue-stays", c -> {
            ActiveMQConnection one = c.connect();
            Session first = c.auto(one);
            TemporaryQueue queue = first.createTemporaryQueue();
            first.close();
            Session second = c.auto(one);
            Case.send(second, queue, "a");
            c.expect(second.createConsumer(queue), "a");
        });
        r.add("temp.delete", c -> {
            ActiveMQConnection one = c.connect();
            Session session = c.auto(one);
            TemporaryQueue queue = session.createTemporaryQueue();
            Case.send(session, queue, "a");
            MessageConsumer consumer = session.createConsumer(queue);
            c.expect(consumer, "a");
            JMSException e = Check.fails(JMSException.class, queue::delete, "delete with a consumer");
            Check.that(e.getMessage() != null, "no reason given");
            consumer.close();
            queue.delete();
            // InvalidDestinationException from the client when the advisory came first, else a refusal by the broker.
            Check.fails(JMSException.class, () -> Case.send(session, queue, "b"), "send to the deleted queue");
        });
        r.add("temp.use-after-owner-closed-fails", c -> {
            ActiveMQConnection owner = c.connect();
            ActiveMQConnection other = c.connect();
            TemporaryQueue queue = c.auto(owner).createTemporaryQueue();
            Session session = c.auto(other);
            MessageProducer producer = session.createProducer(null);
            known(session, queue, "a");
            owner.close();
            long end = System.currentTimeMillis() + Case.WAIT;
            while (true) {
                try {
                    producer.send(queue, session.createTextMessage("b"));
                } catch (InvalidDestinationException e) {
                    return;
                } catch (JMSException e) {
                    // The broker's refusal; the client itself refuses once the advisory is there.
                }
                Check.that(System.currentTimeMillis() < end, "no advisory told the client that the queue is gone");
                Thread.sleep(20);
            }
        });
        r.add("temp.broker-refuses-send-to-gone-queue", c -> {
            // Without advisories the client cannot know, so the refusal comes from the broker.
            ActiveMQConnection owner = c.connect();
            ActiveMQConnection other = c.connect("jms.watchTopicAdvisories=false");
            TemporaryQueue queue = c.auto(owner).createTemporaryQueue();
            Session session = c.auto(other);
            Case.send(session, queue, "a");
            owner.close();
            Check.fails(JMSException.class, () -> Case.send(session, queue, "b"), "send to the gone queue");
            Case.send(session, c.queue(), "the connection goes on");
            c.expect(session.createConsumer(c.queue()), "the connection goes on");
        });
        r.add("temp.many", c -> {
            ActiveMQConnection one = c.connect();
            ActiveMQConnection server = c.connect();
            echo(c, server, c.queue());
            Session session = c.auto(one);
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 50; i++) {
                TemporaryQueue replies = session.createTemporaryQueue();
                MessageConsumer consumer = session.createConsumer(replies);
                ask(session, producer, replies, "q" + i);
                c.expect(consumer, "re: q" + i);
                consumer.close();
                replies.delete();
            }
        });
        r.add("temp.queue-transacted-replies", c -> {
            ActiveMQConnection one = c.connect();
            Session session = c.auto(one);
            TemporaryQueue replies = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(replies);
            Session server = c.transacted(c.connect());
            known(server, replies, "a");
            c.nothing(consumer, "before the commit");
            server.commit();
            c.expect(consumer, "a");
        });
    }

    /** Sends as soon as an advisory has told the client that the other connection's queue exists. */
    private static void known(Session session, Destination to, String text) throws Exception {
        long end = System.currentTimeMillis() + Case.WAIT;
        while (true) {
            try {
                Case.send(session, to, text);
                return;
            } catch (InvalidDestinationException e) {
                if (System.currentTimeMillis() > end) throw e;
                Thread.sleep(10);
            }
        }
    }

    private static void requestReply(Case c, boolean topic) throws Exception {
        ActiveMQConnection server = c.connect();
        echo(c, server, c.queue());
        Session session = c.auto(c.connect());
        Destination replies = topic ? session.createTemporaryTopic() : session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(replies);
        MessageProducer producer = session.createProducer(c.queue());
        for (int i = 0; i < 10; i++) {
            String id = ask(session, producer, replies, "q" + i);
            TextMessage reply = (TextMessage) c.take(consumer, "the reply");
            Check.same("re: q" + i, reply.getText(), "reply");
            Check.same(id, reply.getJMSCorrelationID(), "JMSCorrelationID");
            Check.same(replies, reply.getJMSDestination(), "JMSDestination");
        }
        consumer.close();
        if (topic) ((TemporaryTopic) replies).delete();
        else ((TemporaryQueue) replies).delete();
    }

    private static String ask(Session session, MessageProducer producer, Destination replies, String text) throws JMSException {
        TextMessage m = session.createTextMessage(text);
        m.setJMSReplyTo(replies);
        producer.send(m);
        return m.getJMSMessageID();
    }

    /** Answers each request over its own connection. */
    private static void echo(Case c, ActiveMQConnection connection, Destination requests) throws JMSException {
        Session session = c.auto(connection);
        MessageProducer producer = session.createProducer(null);
        session.createConsumer(requests).setMessageListener((Message m) -> {
            try {
                TextMessage reply = session.createTextMessage("re: " + ((TextMessage) m).getText());
                reply.setJMSCorrelationID(m.getJMSMessageID());
                producer.send(m.getJMSReplyTo(), reply);
            } catch (JMSException e) {
                // The asker notices that no answer comes.
            }
        });
    }
}
