//! A rules file of any bytes is read or refused with one line; what is read is valid.
#![no_main]

use equipoise_replay::setup::{Options, Service, Setup};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let options = Options {
        rules: Some((String::from("rules"), bytes.to_vec())),
        ..Options::default()
    };
    match Setup::assemble(&options) {
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
        Ok(setup) => {
            assert!(!setup.services.is_empty());
            for (index, service) in setup.services.iter().enumerate() {
                let key = service.config.key;
                let twice = |other: &Service| other.config.key == key;
                assert!(!setup.services[..index].iter().any(twice));
                for (place, server) in service.servers.iter().enumerate() {
                    let endpoint = (server.address, server.port);
                    let mut before = service.servers[..place].iter();
                    assert!(!before.any(|other| (other.address, other.port) == endpoint));
                    assert!(server.weight <= 65_535);
                    assert!(server.lower_threshold <= server.upper_threshold);
                }
            }
        }
    }
});
