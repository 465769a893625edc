//! `proveil man`: manual pages, from the same definition as the command line.

use clap::CommandFactory;
use proveil::{Code, Error};

use crate::args::{self, Cli};
use crate::failure::Stop;
use crate::output::Output;

pub(super) fn run(args: &args::Man, output: &Output) -> Result<u8, Stop> {
    match &args.output {
        Some(directory) => {
            let written = std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
            written.map_err(|error| {
                let found = format!("{}: {error}", directory.display());
                Error::new(Code::FileUnwritable).at("--output").found(found)
            })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output.result(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
