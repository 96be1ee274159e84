//! When connections are held back that come to nothing beside one that lives.
//!
//! Knows: the play of `tests`.  Does not know: the rule itself, which the vectors show.

use super::*;

#[test]
fn a_connection_that_lives_does_not_spare_the_upstream_others_that_come_to_nothing() {
    let mut play = Play::new();
    let (alive, mut upstream) = play.served(0);
    // It has as many questions as a connection gets before there is a new one.
    let waiting: Vec<_> = (100..116).map(|id| play.send(id)).collect();
    play.turn();
    for id in 1..=FREE as u16 {
        assert!(broken(&mut play, id).may_ask_again, "others were answered just now");
    }
    let opened = play.counters.streams_opened.load(Ordering::Relaxed);
    assert_eq!(opened, u64::from(FREE) + 1);
    // In the pause all go to the one that lives; its answers do not end it.
    assert_eq!(asked(&mut upstream, 16), (100..116).collect::<Vec<_>>());
    upstream.write_all(&answer(100)).unwrap();
    assert_eq!(play.hear(1), [(waiting[0].1, 100)]);
    assert!((200..216).all(|id| play.send(id).0 == alive));
    play.now += OPENING_PAUSE_S_MIN;
    // Behind it one alone is begun, and with its first answer as many as ever.
    let (fresh, owner) = play.send(300);
    assert!(fresh != alive && (301..330).all(|id| [fresh, alive].contains(&play.send(id).0)));
    let mut other = play.accept();
    play.turn();
    other.write_all(&answer(300)).unwrap();
    assert_eq!(play.hear(1), [(owner, 300)]);
    assert!((400..432).any(|id| ![fresh, alive].contains(&play.send(id).0)));
    assert_eq!(play.counters.streams_held_back.load(Ordering::Relaxed), 0);
}
