//! Sums up a web server's access log: requests and errors of each path, most requested first.
//! Ends with 1 when more than `MAX_ERROR_PERCENT` percent of all requests failed.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    process::ExitCode,
};

#[derive(Default, Clone, Copy)]
struct Counts {
    requests: u32,
    errors: u32,
}

impl Counts {
    fn add(&mut self, status: u16) {
        self.requests += 1;
        self.errors += u32::from(status >= 500);
    }

    fn error_percent(self) -> f64 {
        if self.requests == 0 { 0.0 } else { f64::from(self.errors) * 100.0 / f64::from(self.requests) }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("access-log: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the errors are within the limit.
fn run() -> Result<bool, Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: access-log FILE")?;
    let limit: f64 = env::var("MAX_ERROR_PERCENT").map_or(Ok(5.0), |text| text.parse())?;
    let paths = count(BufReader::new(File::open(&path).map_err(|error| format!("{path}: {error}"))?))?;

    let mut sorted: Vec<_> = paths.iter().collect();
    sorted.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.requests));
    println!("{:<12} {:>8} {:>6}", "PATH", "REQUESTS", "ERRORS");
    for (path, counts) in sorted {
        println!("{path:<12} {:>8} {:>6}", counts.requests, counts.errors);
    }

    let mut total = Counts::default();
    for counts in paths.values() {
        total.requests += counts.requests;
        total.errors += counts.errors;
    }
    println!("{:.1} % of {} requests failed, {limit:.1} % may", total.error_percent(), total.requests);
    Ok(total.error_percent() <= limit)
}

/// Reads lines in the common log format: `1.2.3.4 - - [date] "GET /path HTTP/1.1" 200 512`.
fn count(log: impl BufRead) -> Result<BTreeMap<String, Counts>, Box<dyn Error>> {
    let mut paths = BTreeMap::<String, Counts>::new();
    for (number, line) in log.lines().enumerate() {
        let line = line?;
        let (path, status) = parse(&line).ok_or_else(|| format!("line {} is no request: {line}", number + 1))?;
        paths.entry(path.to_owned()).or_default().add(status);
    }
    Ok(paths)
}

fn parse(line: &str) -> Option<(&str, u16)> {
    let (_, rest) = line.split_once('"')?;
    let (request, rest) = rest.split_once('"')?;
    let path = request.split(' ').nth(1)?;
    let status = rest.split_whitespace().next()?.parse().ok()?;
    Some((path, status))
}
