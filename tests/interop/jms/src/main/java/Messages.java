import jakarta.jms.BytesMessage;
import jakarta.jms.DeliveryMode;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import jakarta.jms.TextMessage;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.activemq.command.ActiveMQMessage;

/** Bodies, properties and headers arrive as they were sent. */
final class Messages {
    private Messages() {}

    static final String ODD = "Grüße, 日本語, \uD83D\uDE80\uD83D\uDC69\u200D\uD83D\uDD27, \u0000 nul, \u07ff\u0800";

    /**
     * For strings in properties, maps and headers. The client writes those as modified UTF-8 and reads them as plain
     * UTF-8, so characters beyond the basic plane and NUL do not survive between two Java clients.
     */
    static final String BASIC = "Grüße, 日本語, \u07ff\u0800\uffef";

    record Thing(String name, int number, List<String> more) implements Serializable {}

    interface Fill {
        void on(Session session, MessageProducer producer) throws Exception;
    }

    interface Look {
        void at(Message message) throws Exception;
    }

    static void cases(Runner r) {
        for (String mode : new String[] {"plain", "compressed"}) {
            String options = mode.equals("plain") ? "" : "jms.useCompression=true";
            bodies(r, mode, options);
        }
        r.add("messages.body.5mb", c -> {
            byte[] big = new byte[5 << 20];
            new Random(7).nextBytes(big);
            trip(c, "", (s, p) -> {
                BytesMessage m = s.createBytesMessage();
                m.writeBytes(big);
                p.send(m);
            }, m -> {
                byte[] got = new byte[(int) ((BytesMessage) m).getBodyLength()];
                ((BytesMessage) m).readBytes(got);
                Check.same(big, got, "body");
            });
        });
        r.add("messages.body.5mb-text-on-topic", c -> {
            String big = "0123456789abcdé\n".repeat(5 << 16);
            var connection = c.connect();
            Session session = c.auto(connection);
            MessageConsumer consumer = session.createConsumer(c.topic());
            Case.send(session, c.topic(), big);
            Check.that(big.equals(c.takeText(consumer)), "the text differs");
        });
        r.add("messages.properties.all-types", Messages::properties);
        r.add("messages.properties.many", c -> trip(c, "", (s, p) -> {
            Message m = s.createMessage();
            for (int i = 0; i < 500; i++) m.setStringProperty("name" + i, "value " + i);
            p.send(m);
        }, m -> {
            for (int i = 0; i < 500; i++) Check.same("value " + i, m.getStringProperty("name" + i), "property " + i);
        }));
        r.add("messages.properties.nested-map-and-list", c -> trip(c, "", (s, p) -> {
            Message m = s.createMessage();
            m.setObjectProperty("map", Map.of("a", 1, "b", "zwei"));
            m.setObjectProperty("list", List.of("x", 2L));
            p.send(m);
        }, m -> {
            Map<?, ?> map = (Map<?, ?>) m.getObjectProperty("map");
            Check.same("1 zwei", map.get("a") + " " + map.get("b"), "map property");
            Check.same("[x, 2]", m.getObjectProperty("list").toString(), "list property");
        }));
        r.add("messages.headers.all", Messages::headers);
        r.add("messages.headers.defaults", Messages::defaults);
        r.add("messages.headers.jmsx", c -> trip(c, "", (s, p) -> {
            Message m = s.createTextMessage("grouped");
            m.setStringProperty("JMSXGroupID", "group-ä");
            m.setIntProperty("JMSXGroupSeq", 3);
            p.send(m);
        }, m -> {
            Check.same("group-ä", m.getStringProperty("JMSXGroupID"), "JMSXGroupID");
            Check.same(3, m.getIntProperty("JMSXGroupSeq"), "JMSXGroupSeq");
            Check.same(1, m.getIntProperty("JMSXDeliveryCount"), "JMSXDeliveryCount");
            ActiveMQMessage raw = (ActiveMQMessage) m;
            Check.that(raw.getBrokerInTime() > 0, "brokerInTime is not set");
            Check.that(raw.getBrokerOutTime() >= raw.getBrokerInTime(), "brokerOutTime is before brokerInTime");
        }));
        r.add("messages.ids.increase", c -> {
            var connection = c.connect();
            Session session = c.auto(connection);
            MessageConsumer consumer = session.createConsumer(c.queue());
            MessageProducer producer = session.createProducer(c.queue());
            List<String> ids = new ArrayList<>();
            for (int i = 0; i < 5; i++) {
                Message m = session.createTextMessage("m" + i);
                producer.send(m);
                ids.add(m.getJMSMessageID());
            }
            long before = 0;
            for (String id : ids) {
                ActiveMQMessage m = (ActiveMQMessage) c.take(consumer, id);
                Check.same(id, m.getJMSMessageID(), "message id");
                long sequence = m.getMessageId().getBrokerSequenceId();
                Check.that(sequence > before, "brokerSequenceId " + sequence + " after " + before);
                before = sequence;
            }
        });
        r.add("messages.forward-received", c -> {
            var connection = c.connect();
            Session session = c.auto(connection);
            Case.send(session, c.queue("first"), ODD);
            TextMessage got = (TextMessage) c.take(session.createConsumer(c.queue("first")), "the first hop");
            got.clearProperties();
            got.setStringProperty("hop", "2");
            session.createProducer(c.queue("second")).send(got);
            TextMessage again = (TextMessage) c.take(session.createConsumer(c.queue("second")), "the second hop");
            Check.same(ODD, again.getText(), "text");
            Check.same("2", again.getStringProperty("hop"), "property");
            Check.same(c.queue("second"), again.getJMSDestination(), "JMSDestination");
        });
    }

    private static void bodies(Runner r, String mode, String options) {
        String p = "messages." + mode + ".";
        r.add(p + "text", c -> text(c, options, ODD + "x".repeat(3000)));
        r.add(p + "text-empty", c -> text(c, options, ""));
        r.add(p + "text-null", c -> text(c, options, null));
        r.add(p + "message", c -> trip(c, options, (s, out) -> out.send(s.createMessage()),
            m -> Check.that(!(m instanceof TextMessage) && !(m instanceof BytesMessage), "another type came: " + m.getClass())));
        r.add(p + "bytes", c -> trip(c, options, (s, out) -> {
            BytesMessage m = s.createBytesMessage();
            m.writeByte((byte) -7);
            m.writeShort((short) -300);
            m.writeChar('é');
            m.writeInt(Integer.MIN_VALUE);
            m.writeLong(Long.MAX_VALUE);
            m.writeFloat(1.5f);
            m.writeDouble(-Math.PI);
            m.writeBoolean(true);
            m.writeUTF(ODD);
            m.writeBytes(new byte[2000]);
            out.send(m);
        }, got -> {
            BytesMessage m = (BytesMessage) got;
            Check.same((byte) -7, m.readByte(), "byte");
            Check.same((short) -300, m.readShort(), "short");
            Check.same('é', m.readChar(), "char");
            Check.same(Integer.MIN_VALUE, m.readInt(), "int");
            Check.same(Long.MAX_VALUE, m.readLong(), "long");
            Check.same(1.5f, m.readFloat(), "float");
            Check.same(-Math.PI, m.readDouble(), "double");
            Check.same(true, m.readBoolean(), "boolean");
            Check.same(ODD, m.readUTF(), "UTF");
            Check.same(2000, m.readBytes(new byte[4000]), "rest");
        }));
        r.add(p + "bytes-empty", c -> trip(c, options, (s, out) -> out.send(s.createBytesMessage()),
            m -> Check.same(0L, ((BytesMessage) m).getBodyLength(), "length")));
        r.add(p + "map", c -> map(c, options));
        r.add(p + "map-empty", c -> trip(c, options, (s, out) -> out.send(s.createMapMessage()),
            m -> Check.that(!((MapMessage) m).getMapNames().hasMoreElements(), "the map is not empty")));
        r.add(p + "stream", c -> trip(c, options, (s, out) -> {
            StreamMessage m = s.createStreamMessage();
            for (Object value : new Object[] {true, (byte) 1, (short) 2, 'c', 3, 4L, 5.5f, 6.5, ODD}) m.writeObject(value);
            m.writeString(null);
            m.writeBytes(new byte[] {1, 2, 3});
            out.send(m);
        }, got -> {
            StreamMessage m = (StreamMessage) got;
            for (Object value : new Object[] {true, (byte) 1, (short) 2, 'c', 3, 4L, 5.5f, 6.5, ODD})
                Check.same(value, m.readObject(), "element");
            Check.same(null, m.readString(), "null element");
            byte[] bytes = new byte[8];
            Check.same(3, m.readBytes(bytes), "bytes element");
        }));
        r.add(p + "object", c -> {
            Thing thing = new Thing(ODD, 42, new ArrayList<>(List.of("a", "b".repeat(500))));
            trip(c, options, (s, out) -> out.send(s.createObjectMessage(thing)),
                m -> Check.same(thing, ((ObjectMessage) m).getObject(), "object"));
        });
        r.add(p + "object-null", c -> trip(c, options, (s, out) -> out.send(s.createObjectMessage()),
            m -> Check.same(null, ((ObjectMessage) m).getObject(), "object")));
    }

    private static void text(Case c, String options, String text) throws Exception {
        trip(c, options, (s, p) -> p.send(s.createTextMessage(text)), m -> Check.same(text, ((TextMessage) m).getText(), "text"));
    }

    private static void map(Case c, String options) throws Exception {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("boolean", true);
        values.put("byte", (byte) -1);
        values.put("short", Short.MIN_VALUE);
        values.put("char", 'ß');
        values.put("int", 7);
        values.put("long", Long.MIN_VALUE);
        values.put("float", Float.MAX_VALUE);
        values.put("double", Double.MIN_VALUE);
        values.put("string 日本", BASIC);
        values.put("bytes", new byte[] {9, 8, 7});
        values.put("long string", "y".repeat(70000));
        trip(c, options, (s, p) -> {
            MapMessage m = s.createMapMessage();
            for (var e : values.entrySet()) m.setObject(e.getKey(), e.getValue());
            m.setObject("null", null);
            p.send(m);
        }, got -> {
            MapMessage m = (MapMessage) got;
            for (var e : values.entrySet()) Check.same(e.getValue(), m.getObject(e.getKey()), e.getKey());
            Check.that(m.itemExists("null") && m.getObject("null") == null, "the null entry is lost");
            Check.same(values.size() + 1, Collections.list(m.getMapNames()).size(), "entries");
        });
    }

    private static void properties(Case c) throws Exception {
        trip(c, "", (s, p) -> {
            Message m = s.createTextMessage("x");
            m.setBooleanProperty("aBoolean", true);
            m.setByteProperty("aByte", Byte.MIN_VALUE);
            m.setShortProperty("aShort", Short.MAX_VALUE);
            m.setIntProperty("anInt", Integer.MIN_VALUE);
            m.setLongProperty("aLong", Long.MAX_VALUE);
            m.setFloatProperty("aFloat", -0.25f);
            m.setDoubleProperty("aDouble", Math.E);
            m.setStringProperty("aString", BASIC);
            m.setStringProperty("größe", "name with umlaut");
            m.setStringProperty("empty", "");
            m.setStringProperty("long", "z".repeat(40000));
            m.setObjectProperty("null", null);
            p.send(m);
        }, m -> {
            Check.same(true, m.getObjectProperty("aBoolean"), "boolean");
            Check.same(Byte.MIN_VALUE, m.getObjectProperty("aByte"), "byte");
            Check.same(Short.MAX_VALUE, m.getObjectProperty("aShort"), "short");
            Check.same(Integer.MIN_VALUE, m.getObjectProperty("anInt"), "int");
            Check.same(Long.MAX_VALUE, m.getObjectProperty("aLong"), "long");
            Check.same(-0.25f, m.getObjectProperty("aFloat"), "float");
            Check.same(Math.E, m.getObjectProperty("aDouble"), "double");
            Check.same(BASIC, m.getStringProperty("aString"), "string");
            Check.same("name with umlaut", m.getObjectProperty("größe"), "non-ASCII name");
            Check.same("", m.getObjectProperty("empty"), "empty string");
            Check.same("z".repeat(40000), m.getObjectProperty("long"), "long string");
            Check.that(m.propertyExists("null") && m.getObjectProperty("null") == null, "the null property is lost");
        });
    }

    private static void headers(Case c) throws Exception {
        var connection = c.connect();
        Session session = c.auto(connection);
        Queue replies = c.queue("replies");
        MessageConsumer consumer = session.createConsumer(c.queue());
        MessageProducer producer = session.createProducer(c.queue());
        TextMessage sent = session.createTextMessage("x");
        sent.setJMSCorrelationID("correlation-ü");
        sent.setJMSType("type-é");
        sent.setJMSReplyTo(replies);
        long before = System.currentTimeMillis();
        producer.send(sent, DeliveryMode.NON_PERSISTENT, 7, 60000);
        long after = System.currentTimeMillis();
        Message got = c.take(consumer, "the message");
        Check.same("correlation-ü", got.getJMSCorrelationID(), "JMSCorrelationID");
        Check.same("type-é", got.getJMSType(), "JMSType");
        Check.same(replies, got.getJMSReplyTo(), "JMSReplyTo");
        Check.same(c.queue(), got.getJMSDestination(), "JMSDestination");
        Check.same(DeliveryMode.NON_PERSISTENT, got.getJMSDeliveryMode(), "JMSDeliveryMode");
        Check.same(7, got.getJMSPriority(), "JMSPriority");
        Check.same(sent.getJMSMessageID(), got.getJMSMessageID(), "JMSMessageID");
        Check.that(got.getJMSMessageID().startsWith("ID:"), "message id without ID:");
        Check.same(sent.getJMSTimestamp(), got.getJMSTimestamp(), "JMSTimestamp");
        Check.that(got.getJMSTimestamp() >= before && got.getJMSTimestamp() <= after, "JMSTimestamp is off");
        Check.same(got.getJMSTimestamp() + 60000, got.getJMSExpiration(), "JMSExpiration");
        Check.same(false, got.getJMSRedelivered(), "JMSRedelivered");
    }

    private static void defaults(Case c) throws Exception {
        trip(c, "", (s, p) -> p.send(s.createMessage()), m -> {
            Check.same(DeliveryMode.PERSISTENT, m.getJMSDeliveryMode(), "JMSDeliveryMode");
            Check.same(4, m.getJMSPriority(), "JMSPriority");
            Check.same(0L, m.getJMSExpiration(), "JMSExpiration");
            Check.same(null, m.getJMSCorrelationID(), "JMSCorrelationID");
            Check.same(null, m.getJMSReplyTo(), "JMSReplyTo");
            Check.same(null, m.getJMSType(), "JMSType");
        });
    }

    /** Sends over one connection and looks at what another one receives. */
    static void trip(Case c, String options, Fill fill, Look look) throws Exception {
        var sending = c.connect(options);
        Session out = c.auto(sending);
        fill.on(out, out.createProducer(c.queue()));
        var receiving = c.connect();
        look.at(c.take(c.auto(receiving).createConsumer(c.queue()), "the message"));
    }
}
