//! What others have put down for a thread: answers to questions that waited, places to give up.
//!
//! Knows: which questions wait, whose they are.  Does not know: who answered them.

use resolver_core::flow::StreamRoute;
use resolver_core::wire::frames::length_in_front;

use super::state::{handle_of, holder_of, ThreadLoop};
use crate::slab::Handle;
use crate::stream_state::{StreamAnswer, StreamNews};

impl ThreadLoop<'_> {
    pub(super) fn take_news(&mut self) {
        if !self.letters.has_news() {
            return;
        }
        let mut answered = Vec::new();
        for news in self.letters.take() {
            match news {
                StreamNews::Answer(route, answer) => answered.extend(self.take_answer(route, answer)),
                StreamNews::GiveWay(holder) => {
                    // Behind a proxy's head the connection is another client's, with a place that nobody wants.
                    let handle = handle_of(holder);
                    if self.connections.get(handle).is_some_and(|connection| !connection.place.is_taken()) {
                        self.cut(handle);
                    }
                }
            }
        }
        // Answers that came together leave in one write for each connection.
        for handle in answered {
            self.send_gathered(handle);
        }
    }

    /// A question that waited is over; whose it was, if it is still there.
    pub(super) fn take_answer(&mut self, route: StreamRoute, answer: StreamAnswer) -> Option<Handle> {
        let handle = handle_of(holder_of(route));
        // Python may send twice; another question has the number only with another connection.
        if self.open.get(&route.request)?.connection != handle {
            return None;
        }
        let open = self.open.remove(&route.request)?;
        self.streams.limits.give_back(&open.place, open.octets);
        open.place.set_quiet_since(self.now);
        let connection = self.connections.get_mut(handle)?;
        match answer {
            StreamAnswer::Message(message) => {
                connection.gathered.extend_from_slice(&length_in_front(&message)?);
                connection.gathered.extend_from_slice(&message);
            }
            StreamAnswer::Nothing { close: true } => {
                self.close(handle);
                return None;
            }
            StreamAnswer::Nothing { close: false } | StreamAnswer::Lost => {}
        }
        Some(handle)
    }

    fn send_gathered(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if connection.send_gathered(&mut self.sealed, self.now) {
            self.settle(handle);
        } else {
            self.close(handle);
        }
    }
}
