import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How long producers stand still when a broker dies. For each kill, of each producer and of all together: the longest time
 * between two confirmed sends that ended after the kill and before the next one, and when it ended. Times are microseconds.
 */
final class Gaps {
    private record Kill(long at, long[] longest, long[] ended) {}

    private final List<Kill> kills = new ArrayList<>();
    /** When each producer was confirmed something last; behind them all together. */
    private final long[] last;

    Gaps(int producers) {
        last = new long[producers + 1];
        Arrays.fill(last, -1);
    }

    synchronized void killed(long at) {
        kills.add(new Kill(at, new long[last.length], new long[last.length]));
    }

    synchronized void confirmed(int producer, long now) {
        note(producer, now);
        note(last.length - 1, now);
    }

    private void note(int who, long now) {
        Kill kill = kills.isEmpty() ? null : kills.get(kills.size() - 1);
        if (kill != null && last[who] >= 0 && now > kill.at && now - last[who] > kill.longest[who]) {
            kill.longest[who] = now - last[who];
            kill.ended[who] = now;
        }
        last[who] = now;
    }

    /** Whether each producer was confirmed something after this time. */
    synchronized boolean allSince(long at) {
        for (int p = 0; p < last.length - 1; p++) if (last[p] <= at) return false;
        return true;
    }

    synchronized List<String> report() {
        List<Long> each = new ArrayList<>();
        List<Long> since = new ArrayList<>();
        List<Long> all = new ArrayList<>();
        for (Kill kill : kills) {
            for (int who = 0; who < last.length; who++) {
                if (kill.ended[who] == 0) continue;
                if (who < last.length - 1) {
                    each.add(kill.longest[who]);
                    since.add(kill.ended[who] - kill.at);
                } else {
                    all.add(kill.longest[who]);
                }
            }
        }
        return List.of(
            row("of a producer, between two confirmed sends", each),
            row("from the kill to a producer's next confirmed send", since),
            row("nobody was confirmed anything", all));
    }

    private static String row(String what, List<Long> gaps) {
        if (gaps.isEmpty()) return "gap: " + what + ": none";
        long[] sorted = gaps.stream().mapToLong(Long::longValue).sorted().toArray();
        return String.format("gap: %s: median %.0f ms, worst %.0f ms, of %d", what, sorted[sorted.length / 2] / 1e3,
            sorted[sorted.length - 1] / 1e3, sorted.length);
    }
}
