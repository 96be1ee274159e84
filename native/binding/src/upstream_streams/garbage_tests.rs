//! What comes of octets that are no message of the upstream's.
//!
//! Knows: the play of `tests`.  Does not know: what a message says.

use super::*;

#[test]
fn what_is_no_answer_to_anything_asked_ends_the_connection_at_once() {
    let another = |id| {
        let mut octets = answer(id);
        octets[15] = b'x';
        octets
    };
    let query = |id| {
        let mut octets = answer(id);
        octets[4] = 1;
        octets
    };
    for (octets, heard) in [(answer(99), 0), (another(2), 1), (query(2), 1), (vec![0, 3, 0, 2, 1], 0)] {
        let mut play = Play::new();
        let (connection, mut upstream) = play.served(1);
        let (_, owner) = play.send(2);
        let (_, behind) = play.send(3);
        play.turn();
        upstream.write_all(&octets).unwrap();
        let mut came = Vec::new();
        while play.left.is_empty() {
            came.extend(play.turn());
        }
        assert_eq!(came, vec![(owner, 2); heard]);
        let left = &play.left[0];
        // Where it is not known whose it is, each is asked alone.
        assert_eq!((left.may_ask_again, left.alone), (true, heard == 0));
        let rest: Vec<_> = left.queries.iter().map(|query| query.owner).collect();
        assert_eq!(rest, [owner, behind][heard..]);
        assert_ne!(play.send(4).0, connection);
    }
}

#[test]
fn each_that_waited_where_garbage_came_has_a_connection_of_its_own_and_the_last_one_decides() {
    let mut play = Play::new();
    let (_, mut upstream) = play.served(1);
    for id in [2, 3] {
        play.send(id);
    }
    play.turn();
    upstream.write_all(&answer(99)).unwrap();
    while play.left.is_empty() {
        play.turn();
    }
    let mut own = Vec::new();
    for query in play.left.pop().unwrap().queries {
        own.push(play.pools.send_again(0, query, play.now, true).unwrap());
    }
    assert_ne!(own[0], own[1]);
    assert!(!own.contains(&play.send(4).0), "nobody joins them");
    let mut upstreams = [play.accept(), play.accept()];
    play.turn();
    let alone: Vec<_> = upstreams.iter_mut().map(|upstream| asked(upstream, 1)).collect();
    assert_eq!(alone, [[2], [3]]);
    upstreams[0].write_all(&answer(99)).unwrap();
    while play.left.is_empty() {
        play.turn();
    }
    let left = play.left.pop().unwrap();
    assert_eq!((left.failure, left.may_ask_again, left.queries.len()), (Failure::Malformed, false, 1));
}
