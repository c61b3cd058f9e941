import jakarta.jms.JMSContext;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import java.util.Set;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.advisory.AdvisorySupport;
import org.apache.activemq.advisory.ConsumerEvent;
import org.apache.activemq.advisory.ConsumerEventSource;
import org.apache.activemq.advisory.DestinationSource;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.ProducerInfo;
import org.apache.activemq.command.RemoveInfo;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** Advisory messages as the client's own helpers read them, and the JMSContext way of working. */
final class Advisories {
    private Advisories() {}

    static void cases(Runner r) {
        r.add("advisory.consumer", c -> {
            Session session = c.auto(c.connect());
            MessageConsumer watcher = session.createConsumer(AdvisorySupport.getConsumerAdvisoryTopic(c.queue()));
            MessageConsumer consumer = c.auto(c.connect()).createConsumer(c.queue(), "n = 1");
            ActiveMQMessage added = (ActiveMQMessage) c.take(watcher, "the advisory of the new consumer");
            ConsumerInfo info = (ConsumerInfo) added.getDataStructure();
            Check.same(c.queue(), info.getDestination(), "destination");
            Check.same("n = 1", info.getSelector(), "selector");
            Check.same(1, added.getIntProperty("consumerCount"), "consumerCount");
            Check.that(added.getStringProperty("originBrokerName") != null, "originBrokerName is missing");
            Check.that(added.getStringProperty("originBrokerId") != null, "originBrokerId is missing");
            Check.that(added.getStringProperty("originBrokerURL") != null, "originBrokerURL is missing");
            consumer.close();
            ActiveMQMessage removed = (ActiveMQMessage) c.take(watcher, "the advisory of the closed consumer");
            Check.same(info.getConsumerId(), ((RemoveInfo) removed.getDataStructure()).getObjectId(), "consumer id");
            Check.same(0, removed.getIntProperty("consumerCount"), "consumerCount");
        });
        r.add("advisory.consumer.replayed-to-latecomers", c -> {
            c.auto(c.connect()).createConsumer(c.queue());
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(AdvisorySupport.getConsumerAdvisoryTopic(c.queue()));
            ActiveMQMessage added = (ActiveMQMessage) c.take(watcher, "the advisory of the older consumer");
            Check.same(c.queue(), ((ConsumerInfo) added.getDataStructure()).getDestination(), "destination");
        });
        r.add("advisory.producer", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(AdvisorySupport.getProducerAdvisoryTopic(c.queue()));
            Session session = c.auto(c.connect());
            var producer = session.createProducer(c.queue());
            ActiveMQMessage added = (ActiveMQMessage) c.take(watcher, "the advisory of the new producer");
            Check.same(c.queue(), ((ProducerInfo) added.getDataStructure()).getDestination(), "destination");
            Check.same(1, added.getIntProperty("producerCount"), "producerCount");
            producer.close();
            Check.same(0, c.take(watcher, "the advisory of the closed producer").getIntProperty("producerCount"), "producerCount");
        });
        r.add("advisory.master-broker", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(AdvisorySupport.getMasterBrokerAdvisoryTopic());
            ActiveMQMessage master = (ActiveMQMessage) c.take(watcher, "the advisory of the master, to whoever comes late");
            Check.that(master.getDataStructure() == null, "it says more than that");
            Check.that(master.getStringProperty("originBrokerName") != null, "originBrokerName is missing");
        });
        r.add("advisory.connection", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(AdvisorySupport.getConnectionAdvisoryTopic());
            c.connectAs(c.unique("me"), "");
            while (true) {
                ActiveMQMessage m = (ActiveMQMessage) c.take(watcher, "the advisory of the new connection");
                if (m.getDataStructure() instanceof ConnectionInfo i && c.unique("me").equals(i.getClientId())) return;
            }
        });
        r.add("advisory.consumer-event-source", c -> {
            BlockingQueue<Integer> counts = new LinkedBlockingQueue<>();
            ConsumerEventSource source = new ConsumerEventSource(c.connect(), c.queue());
            source.setConsumerListener((ConsumerEvent e) -> counts.add(e.getConsumerCount()));
            source.start();
            ActiveMQConnection one = c.connect();
            c.auto(one).createConsumer(c.queue());
            Check.same(1, counts.poll(5, TimeUnit.SECONDS), "consumers");
            one.close();
            Check.same(0, counts.poll(5, TimeUnit.SECONDS), "consumers after the close");
            source.stop();
        });
        r.add("advisory.destination-source", c -> {
            c.put(c.queue("old"), "a");
            DestinationSource source = c.connect().getDestinationSource();
            c.put(c.queue("new"), "a");
            long end = System.currentTimeMillis() + Case.WAIT;
            Set<ActiveMQQueue> want = Set.of((ActiveMQQueue) c.queue("old"), (ActiveMQQueue) c.queue("new"));
            while (!source.getQueues().containsAll(want)) {
                Check.that(System.currentTimeMillis() < end, "the queues are not announced");
                Thread.sleep(20);
            }
        });
        r.add("advisory.destroy-destination", c -> {
            c.put(c.queue(), "a");
            Check.same(java.util.List.of("a"), c.drain(c.queue()), "in the queue");
            ActiveMQConnection one = c.connect();
            one.destroyDestination((ActiveMQQueue) c.queue());
            c.put(c.queue(), "b");
            Check.same(java.util.List.of("b"), c.drain(c.queue()), "in the new queue");
        });
        r.add("context.send-and-receive", c -> {
            try (JMSContext context = Case.factory("").createContext()) {
                context.createProducer().setProperty("n", 5).setJMSCorrelationID("cid").send(c.queue(), Messages.ODD);
                Message m = Check.present(context.createConsumer(c.queue(), "n = 5").receive(Case.WAIT), "the message");
                Check.same(Messages.ODD, m.getBody(String.class), "body");
                Check.same("cid", m.getJMSCorrelationID(), "JMSCorrelationID");
            }
        });
        r.add("context.transacted", c -> {
            try (JMSContext context = Case.factory("").createContext(JMSContext.SESSION_TRANSACTED)) {
                context.createProducer().send(c.queue(), "no");
                context.rollback();
                context.createProducer().send(c.queue(), "yes");
                context.commit();
            }
            Check.same(java.util.List.of("yes"), c.drain(c.queue()), "in the queue");
        });
    }
}
