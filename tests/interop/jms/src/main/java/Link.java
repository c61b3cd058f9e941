import jakarta.jms.JMSException;
import jakarta.jms.Message;
import java.io.IOException;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.MessageDispatch;
import org.apache.activemq.management.JMSStatsImpl;
import org.apache.activemq.transport.Transport;
import org.apache.activemq.transport.TransportListener;
import org.apache.activemq.transport.failover.FailoverTransport;
import org.apache.activemq.util.IdGenerator;

/**
 * A started connection over failover that counts its eras: an even number while it is connected, an odd one while it is not. What
 * an application did within one even era was between it and one broker. The client library answers acknowledgements by itself
 * while it is not connected, and a broker answers those of messages that it never dispatched: only the era tells.
 */
final class Link implements TransportListener, AutoCloseable {
    /** Retries at a steady pace, so that what is measured is the broker and not how long a client had backed off. */
    private static final String FAILOVER = "initialReconnectDelay=25&useExponentialBackOff=false";
    /** Acknowledgements are answered; what is rolled back comes again at once and for ever. */
    private static final String CLIENT = "jms.sendAcksAsync=false&jms.watchTopicAdvisories=false&jms.prefetchPolicy.all=100"
        + "&jms.redeliveryPolicy.maximumRedeliveries=-1&jms.redeliveryPolicy.initialRedeliveryDelay=0";

    /** A connection whose timer can be reached, and which notes in what era a message came in. */
    private static final class Timed extends ActiveMQConnection {
        private volatile Link link;

        Timed(Transport transport, IdGenerator clients, IdGenerator connections, JMSStatsImpl stats) throws Exception {
            super(transport, clients, connections, stats);
        }

        /** A thread that reads for a dead broker may stand here until all is forgotten, and hand on its last message then. */
        @Override
        public void onCommand(Object command) {
            if (link != null && command instanceof MessageDispatch dispatch && dispatch.getMessage() != null)
                dispatch.getMessage().setBrokerOutTime(link.era());
            super.onCommand(command);
        }

        void later(Runnable task) throws JMSException {
            getScheduler().executeAfterDelay(task, 2);
        }
    }

    private static final class Factory extends ActiveMQConnectionFactory {
        Factory(String url) {
            super(url);
        }

        @Override
        protected ActiveMQConnection createActiveMQConnection(Transport transport, JMSStatsImpl stats) throws Exception {
            return new Timed(transport, getClientIdGenerator(), getConnectionIdGenerator(), stats);
        }
    }

    final ActiveMQConnection connection;
    private long era;
    private long settled;
    private int refusals;

    Link(String urls, String options) throws JMSException {
        String more = options.isEmpty() ? "" : "&" + options;
        connection = (ActiveMQConnection) new Factory("failover:(" + urls + ")?" + FAILOVER + "&" + CLIENT + more).createConnection();
        ((Timed) connection).link = this;
        connection.addTransportListener(this);
        // Where the library acknowledges by itself this is the only place that hears of a refusal.
        connection.setClientInternalExceptionListener(error -> {
            synchronized (this) {
                refusals++;
            }
            System.err.println("inside the library: " + error);
        });
        connection.start();
    }

    synchronized long era() {
        return era;
    }

    /**
     * Whether it is still that even era, and the library has noticed no break either: it answers acknowledgements by itself from
     * when it has lost its socket, and says so to others a little later.
     */
    boolean isStill(long before) {
        FailoverTransport transport = connection.getTransport().narrow(FailoverTransport.class);
        return (before & 1) == 0 && transport.isConnected() && era() == before;
    }

    /** Whether a message is of a broker before the one of this even era. Its first ones may come before the era is counted. */
    static boolean isStale(Message message, long era) {
        return ((ActiveMQMessage) message).getBrokerOutTime() < era - 1;
    }

    /** Errors that the library had and nobody else: an acknowledgement that was refused. */
    synchronized int refusals() {
        return refusals;
    }

    /**
     * The era, once it is an even one and the library has forgotten all that the broker before had sent ahead: it does so on its
     * timer, which serves in order of time.
     */
    long settled() throws JMSException, InterruptedException {
        while (true) {
            long now;
            synchronized (this) {
                while ((era & 1) != 0) wait();
                now = era;
                if (now == settled) return now;
            }
            Object done = new Object();
            boolean[] cleared = {false};
            ((Timed) connection).later(() -> {
                synchronized (done) {
                    cleared[0] = true;
                    done.notifyAll();
                }
            });
            synchronized (done) {
                while (!cleared[0]) done.wait();
            }
            synchronized (this) {
                if (era == now) settled = now;
            }
        }
    }

    @Override
    public synchronized void transportInterupted() {
        era += (era & 1) == 0 ? 1 : 2;
        notifyAll();
    }

    @Override
    public synchronized void transportResumed() {
        era += era & 1;
        notifyAll();
    }

    @Override
    public void onCommand(Object command) {}

    @Override
    public void onException(IOException error) {}

    @Override
    public void close() {
        try {
            connection.close();
        } catch (JMSException e) {
            // Everything that counts has been written down.
        }
    }
}
