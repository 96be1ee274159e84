//! Whether a cache's books are in order, for tests.
//!
//! Knows: what must hold between the tables.  Does not know: what entries answer.

use super::entry::{failure_octets, judgement_octets, response_octets};
use super::response_cache::Cache;
use super::seats::Seat;
use super::shard::Shard;

impl Cache {
    /// What is wrong with the tables or the account of memory; None: nothing.  Looks at every entry.
    #[doc(hidden)]
    #[must_use]
    pub fn audit(&self) -> Option<String> {
        self.shards.iter().enumerate().find_map(|(number, padded)| {
            let mut shard = padded.0.lock();
            shard.audit().map(|wrong| format!("shard {number}: {wrong}"))
        })
    }
}

impl Shard {
    fn audit(&mut self) -> Option<String> {
        let mut order = Vec::new();
        let (seats, queues) = (&mut self.seats, &mut self.queues);
        let small_octets = queues.small_octets();
        queues.take_all(seats, |number| order.push(number));
        let mut heap_octets = 0;
        let mut wrong = None;
        for &number in &order {
            let seat = &seats[number];
            heap_octets += heap_octets_of(seat);
            if seat.heap_octets as usize != heap_octets_of(seat) {
                wrong = Some(format!("seat {number} is said to keep {} octets", seat.heap_octets));
            }
            if self.index.find(seat.hash as u32, |one| one == number) != Some(number) {
                wrong = Some(format!("seat {number} is not in the index"));
            }
            queues.put_back(seats, number);
        }
        if order.len() != seats.taken() {
            wrong = Some(format!("{} in the queues, {} seats taken", order.len(), seats.taken()));
        }
        let free = seats.free_numbers();
        if free.len() + order.len() != seats.count() || free.iter().any(|number| order.contains(number)) {
            wrong = Some(format!("{} free, {} taken of {}", free.len(), order.len(), seats.count()));
        }
        if small_octets != queues.small_octets() {
            wrong = Some(format!("small queue of {small_octets}, not {}", queues.small_octets()));
        }
        if heap_octets != self.heap_octets {
            wrong = Some(format!("{heap_octets} octets are kept, {} accounted for", self.heap_octets));
        }
        wrong
    }
}

fn heap_octets_of(seat: &Seat) -> usize {
    seat.qname.octets()
        + seat.entry.response.as_ref().map_or(0, response_octets)
        + seat.entry.failure.as_ref().map_or(0, |failure| failure_octets(&failure.1))
        + judgement_octets(&seat.entry.judgement)
}
