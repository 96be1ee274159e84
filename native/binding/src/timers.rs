//! Many deadlines, ten milliseconds apart.
//!
//! Knows: buckets of items by the tick they are due at.  Does not know: the clock, what is due.
//! Theory: nearly every question is answered before its deadline, so nothing is ever taken out: an item comes
//! up at its tick, and whoever set it looks whether that still means anything.

/// Deadlines are met up to a tick late, never early.
const TICKS_PER_S: f64 = 100.0;

/// Ticks on the wheel: 5.12 s.  A later deadline comes up early, and is to be set again.
const BUCKETS: u64 = 512;

/// Coming up this late means that the thread was stalled: what has come in meanwhile is read first.
const STALL_S: f64 = 0.05;

/// Items and when they are due.
pub struct Timers<T> {
    buckets: Vec<Vec<T>>,
    /// The last tick whose items have come up.
    reached: u64,
    /// No bucket before this tick holds anything.
    earliest: u64,
    held: usize,
    has_yielded: bool,
}

impl<T> Timers<T> {
    /// Empty, at `now` (monotonic seconds).
    pub fn new(now: f64) -> Timers<T> {
        Timers {
            buckets: (0..BUCKETS).map(|_| Vec::new()).collect(),
            reached: tick_before(now),
            earliest: u64::MAX,
            held: 0,
            has_yielded: false,
        }
    }

    /// Let `item` come up at `due_at`, or after 5 s if that is earlier.
    pub fn set(&mut self, item: T, due_at: f64, now: f64) {
        if self.held == 0 {
            self.reached = self.reached.max(tick_before(now));
        }
        // The tiny shift keeps a due time that is a whole tick, but for rounding, on that tick.
        let tick = (due_at * TICKS_PER_S - 1e-6).max(0.0) as u64 + 1;
        let tick = tick.clamp(self.reached + 1, self.reached + BUCKETS - 1);
        self.buckets[(tick % BUCKETS) as usize].push(item);
        self.earliest = self.earliest.min(tick);
        self.held += 1;
    }

    /// Milliseconds until something may come up; -1: nothing is held.
    pub fn patience_ms(&self, now: f64) -> i32 {
        if self.held == 0 {
            return -1;
        }
        if self.has_yielded {
            return 1;
        }
        ((self.earliest as f64 / TICKS_PER_S - now) * 1000.0).ceil().clamp(0.0, 5000.0) as i32
    }

    /// Move the items that are due by `now` to `due`, earliest first.
    ///
    /// After a stall nothing, once: the caller looks at its sockets and calls again within a millisecond.
    pub fn take_due(&mut self, now: f64, due: &mut Vec<T>) {
        let reached = tick_before(now);
        if reached < self.earliest {
            self.reached = self.reached.max(reached);
            self.has_yielded = false;
            return;
        }
        if now - self.earliest as f64 / TICKS_PER_S > STALL_S && !self.has_yielded {
            self.has_yielded = true;
            return;
        }
        self.has_yielded = false;
        let until = reached.min(self.reached + BUCKETS - 1);
        for tick in self.earliest..=until {
            let bucket = &mut self.buckets[(tick % BUCKETS) as usize];
            self.held -= bucket.len();
            due.append(bucket);
        }
        self.reached = reached;
        self.earliest = u64::MAX;
        if self.held > 0 {
            let mut ahead = reached + 1..reached + BUCKETS;
            let next = ahead.find(|tick| !self.buckets[(tick % BUCKETS) as usize].is_empty());
            self.earliest = next.unwrap_or(u64::MAX);
        }
    }
}

/// The last tick at or before `now`.
fn tick_before(now: f64) -> u64 {
    (now * TICKS_PER_S + 1e-6).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(timers: &mut Timers<u32>, now: f64) -> Vec<u32> {
        let mut items = Vec::new();
        timers.take_due(now, &mut items);
        items
    }

    #[test]
    fn items_come_up_in_order_and_never_early() {
        let mut timers = Timers::new(100.0);
        timers.set(2, 100.40, 100.0);
        timers.set(1, 100.25, 100.0);
        timers.set(3, 100.401, 100.0);
        assert_eq!(timers.patience_ms(100.0), 250);
        assert!(due(&mut timers, 100.249).is_empty());
        assert_eq!(due(&mut timers, 100.25), [1]);
        assert!(due(&mut timers, 100.39).is_empty());
        assert_eq!(due(&mut timers, 100.40), [2]);
        assert!(due(&mut timers, 100.405).is_empty());
        assert_eq!(due(&mut timers, 100.41), [3]);
        assert_eq!(timers.patience_ms(100.41), -1);
    }

    #[test]
    fn after_a_stall_the_sockets_are_looked_at_first() {
        let mut timers = Timers::new(5.0);
        timers.set(1, 5.1, 5.0);
        assert!(due(&mut timers, 6.0).is_empty());
        assert_eq!(timers.patience_ms(6.0), 1);
        assert_eq!(due(&mut timers, 6.001), [1]);
    }

    #[test]
    fn a_far_deadline_comes_up_early_instead_of_never() {
        let mut timers = Timers::new(0.0);
        timers.set(1, 60.0, 0.0);
        let mut now = 0.0;
        while due(&mut timers, now).is_empty() {
            now += 0.01;
            assert!(now < 5.2);
        }
        assert!(now > 5.0);
        timers.set(2, now - 1.0, now);
        assert_eq!(due(&mut timers, now + 0.011), [2], "a deadline of the past is due at the next tick");
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut timers = Timers::new(0.0);
        timers.set(1, 0.5, 0.0);
        timers.set(2, 5.0, 0.0);
        assert!(due(&mut timers, 1000.0).is_empty());
        assert_eq!(due(&mut timers, 1000.0), [1, 2]);
        timers.set(3, 1000.02, 1000.0);
        assert_eq!(due(&mut timers, 1000.02), [3]);
    }
}
