//! Who of those that have something to do has the next turn, where there is no time for all at once.
//!
//! Knows: clients, and what of theirs waits.  Does not know: sockets, time, what is done in a turn.
//! Theory: the line goes round by clients, so a hundred connections of one client wait for each other and not another
//! client for them.  `listeners/turns.py` has the same line.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::clients::ClientKey;

/// Those that wait for a turn.
pub struct Line<T> {
    waiting: AHashMap<ClientKey, VecDeque<T>>,
    /// Each client that waits, once.
    clients: VecDeque<ClientKey>,
    count: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line { waiting: AHashMap::new(), clients: VecDeque::new(), count: 0 }
    }
}

impl<T> Line<T> {
    /// Let `who` have a turn later.  Nobody stands in line twice: that is the caller's care.
    pub fn stand(&mut self, client: ClientKey, who: T) {
        let waiting = self.waiting.entry(client).or_default();
        if waiting.is_empty() {
            self.clients.push_back(client);
        }
        waiting.push_back(who);
        self.count += 1;
    }

    /// Whose turn it is; the others of its client stand behind other clients then.
    pub fn take_next(&mut self) -> Option<T> {
        let client = self.clients.pop_front()?;
        let waiting = self.waiting.get_mut(&client)?;
        let who = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.clients.push_back(client);
        }
        self.count -= 1;
        who
    }

    /// How many stand in line.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientKey = ClientKey::Ipv4(1);
    const OTHER: ClientKey = ClientKey::Ipv4(2);

    #[test]
    fn the_line_goes_round_by_clients() {
        let mut line = Line::default();
        (0..100).for_each(|number| line.stand(ONE, number));
        line.stand(OTHER, 1000);
        line.stand(OTHER, 1001);
        let first: Vec<_> = (0..6).filter_map(|_| line.take_next()).collect();
        assert_eq!(first, [0, 1000, 1, 1001, 2, 3]);
        assert_eq!(line.len(), 96);
        while line.take_next().is_some() {}
        assert!(line.is_empty() && line.waiting.is_empty() && line.clients.is_empty());
    }
}
