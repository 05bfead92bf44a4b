//! What a database is known to do otherwise than DynamoDB: named, and asked of it all the same.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// The checks that one database does not pass, each with what it does instead. Nothing is left out because of
/// them: a check that is among them has to fail, so that the list is what is so, and gets shorter when it can.
#[derive(Debug)]
pub struct Deviations {
    database: &'static str,
    known: BTreeMap<&'static str, &'static str>,
}

impl Deviations {
    /// Of a database that does all of it as DynamoDB does.
    pub fn none(database: &'static str) -> Self {
        Deviations::of(database, &[])
    }

    /// Of a database with these: the name of the check, and what it does instead.
    pub fn of(database: &'static str, known: &[(&'static str, &'static str)]) -> Self {
        Deviations { database, known: known.iter().copied().collect() }
    }

    /// Fails where a check does not hold, and where one does that is known not to.
    #[track_caller]
    pub fn judge(&mut self, check: &str, holds: bool, seen: &dyn Debug) {
        let database = self.database;
        match self.known.remove(check) {
            None => assert!(holds, "{database}: {check}: {seen:?}"),
            Some(instead) => {
                assert!(!holds, "{database}: {check}: it is as DynamoDB by now, and no deviation any more");
                println!("{database} is not as DynamoDB: {check}: {instead}");
            }
        }
    }

    /// Fails where one of them was no check that was made.
    #[track_caller]
    pub fn finish(self) {
        assert!(self.known.is_empty(), "{}: nothing was checked of these: {:?}", self.database, self.known);
    }
}
