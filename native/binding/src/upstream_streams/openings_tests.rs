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
    // Behind it one that few wait for is begun, and with its first answer as many as ever.
    let (fresh, owner) = play.send(300);
    assert!(fresh != alive && (301..316).all(|id| [fresh, alive].contains(&play.send(id).0)));
    let mut other = play.accept();
    play.turn();
    other.write_all(&answer(300)).unwrap();
    assert_eq!(play.hear(1), [(owner, 300)]);
    assert!((400..432).any(|id| ![fresh, alive].contains(&play.send(id).0)));
    assert_eq!(play.counters.streams_held_back.load(Ordering::Relaxed), 0);
}

#[test]
fn who_waits_for_a_connection_goes_on_with_the_one_that_opens_first() {
    let mut play = Play::new();
    let sent: Vec<_> = (0..17).map(|id| play.send(id)).collect();
    let (slow, fast) = (sent[0].0, sent[16].0);
    assert!(slow != fast && sent[..16].iter().all(|&(handle, _)| handle == slow));
    let mut streams = [play.accept(), play.accept()];
    assert_eq!(play.pools.read(fast, false, play.now, &mut play.inbox), StreamRead::All);
    let moved: Vec<_> = sent[..15].iter().map(|&(_, owner)| (owner, fast)).collect();
    assert_eq!((play.pools.take_moved(), play.pools.take_moved()), (moved, Vec::new()));
    play.pools.flush();
    let mut ids = asked(&mut streams[1], 16);
    ids.sort_unstable();
    assert_eq!(ids, (0..15).chain([16]).collect::<Vec<_>>());
    assert_eq!(play.pools.read(slow, false, play.now, &mut play.inbox), StreamRead::All);
    play.pools.flush();
    assert_eq!(asked(&mut streams[0], 1), [15]);
    // Each waits in one place: nobody is forgotten, and nobody twice.
    sent.iter().zip(0..).for_each(|(&(_, owner), id)| {
        play.pools.forget(if id == 15 { slow } else { fast }, id, owner);
    });
    assert!(play.pools.is_quiet(play.now));
}
