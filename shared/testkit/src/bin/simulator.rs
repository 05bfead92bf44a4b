//! `simulator --seeds 100 [--from 1] [--commands 1000] [--planned 1000] [--bug Name] [--tell]`: runs seeds on all cores, and
//! says of each that fails the seed, the shortest prefix of commands that still fails, and the invariant; all that
//! happened until then is written to a file below `target/simulator`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tillstream_allocator as _;
use tillstream_testkit::simulator::{Bug, Outcome, Settings, run, shortest_prefix};

struct Arguments {
    from: u64,
    seeds: u64,
    commands: u64,
    /// Commands of the whole day; `commands` unless told.
    planned: Option<u64>,
    bug: Option<Bug>,
    tells: bool,
}

fn arguments() -> Result<Arguments, String> {
    let mut found =
        Arguments { from: 1, seeds: 100, commands: 1_000, planned: None, bug: None, tells: false };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{name} needs a value"));
        let number =
            |text: String| text.parse::<u64>().map_err(|_| format!("{name} needs a number, not {text}"));
        match name.as_str() {
            "--from" => found.from = number(value()?)?,
            "--seeds" => found.seeds = number(value()?)?,
            "--commands" => found.commands = number(value()?)?,
            "--planned" => found.planned = Some(number(value()?)?),
            "--bug" => {
                let bug = value()?;
                found.bug = Some(Bug::named(&bug).ok_or_else(|| {
                    let known: Vec<String> = Bug::ALL.iter().map(|bug| bug.name()).collect();
                    format!("there is no bug {bug}; there are {}", known.join(", "))
                })?);
            }
            "--tell" => found.tells = true,
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("simulator: {fault}");
            return ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let (commands, orders, steps) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        return;
                    }
                    let seed = arguments.from + number;
                    let (bug, tells) = (arguments.bug, arguments.tells);
                    let commands_of_run = arguments.commands;
                    let planned = arguments.planned.unwrap_or(commands_of_run);
                    let settings = Settings { seed, commands: commands_of_run, planned, bug, tells };
                    let outcome = run(settings);
                    commands.fetch_add(outcome.commands, Ordering::Relaxed);
                    orders.fetch_add(u64::try_from(outcome.orders).unwrap_or(0), Ordering::Relaxed);
                    steps.fetch_add(outcome.steps, Ordering::Relaxed);
                    if outcome.violation.is_some() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        let (cut, shortest) = shortest_prefix(settings, &outcome);
                        println!("{}", told(cut, &shortest));
                    } else if tells {
                        outcome.events.iter().for_each(|event| println!("{event}"));
                    }
                    if (number + 1).is_multiple_of(50) {
                        eprintln!("{} of {} seeds, {:.0?}", number + 1, arguments.seeds, begun.elapsed());
                    }
                }
            });
        }
    });
    let failed = failed.load(Ordering::Relaxed);
    println!(
        "{} seeds of {} commands in {:.1?}: {} commands, {} orders, {} steps; {failed} seeds failed",
        arguments.seeds,
        arguments.commands,
        begun.elapsed(),
        commands.load(Ordering::Relaxed),
        orders.load(Ordering::Relaxed),
        steps.load(Ordering::Relaxed),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Most events of a failed run that are told: the last ones. All of them are in a file.
const EVENTS_TOLD: usize = 60;
/// Where the files are.
const FILES: &str = "target/simulator";

/// What is told of a run that failed and was cut.
fn told(cut: Settings, shortest: &Outcome) -> String {
    let head = format!("seed {} fails within {} commands; again with {}", cut.seed, cut.commands, again(cut));
    let end = match &shortest.violation {
        Some(violation) => format!("  broken: {}\n  seen: {}\n", violation.invariant, violation.seen),
        None => "  the same run holds: it is no seed's run, byte for byte\n".to_owned(),
    };
    let events = |from: usize| -> String {
        shortest.events.iter().skip(from).map(|event| format!("  {event}\n")).collect()
    };
    let file = match written(cut, &format!("{head}\n{}{end}", events(0))) {
        Ok(path) => format!("all of it: {}", path.display()),
        Err(error) => format!("all of it could not be written to {FILES}: {error}"),
    };
    let last = shortest.events.len().saturating_sub(EVENTS_TOLD);
    format!("{head}\n{file}\n{}{end}", events(last))
}

/// What to type for the same run.
fn again(settings: Settings) -> String {
    let Settings { seed, commands, planned, bug, .. } = settings;
    let of_bug = |before: &str| bug.map(|bug| format!("{before}{}", bug.name())).unwrap_or_default();
    format!(
        "make simulate FROM={seed} SEEDS=1 COMMANDS={commands} PLANNED={planned}{} TELL=1, or --from {seed} --seeds 1 \
         --commands {commands} --planned {planned}{} --tell",
        of_bug(" BUG="),
        of_bug(" --bug "),
    )
}

/// Writes all that happened in a run to a file of its own.
fn written(settings: Settings, text: &str) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(FILES)?;
    let bug = settings.bug.map(|bug| format!("-{}", bug.name())).unwrap_or_default();
    let path = Path::new(FILES).join(format!("seed-{}{bug}.txt", settings.seed));
    std::fs::write(&path, text)?;
    Ok(path)
}
