//! `--timeouts`, `--sysctl` and `--kernel`: how the kernel is set.

use equipoise_core::{KernelProfile, Sysctls, Timeouts};

use super::{Problem, text};

/// Kernel switches as the user set them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Those that the engine follows.
    pub sysctls: Sysctls,
    /// `lblc_expiration` in seconds, for the policy lblc; none leaves it the kernel's default.
    pub lblc_expiration_s: Option<u32>,
    /// `lblcr_expiration` in seconds, for the policy lblcr; none leaves it the kernel's default.
    pub lblcr_expiration_s: Option<u32>,
}

const INT_MAX: u32 = i32::MAX as u32;

/// What `--sysctl` takes.
const EFFECTIVE: [&str; 7] = [
    "conn_reuse_mode",
    "expire_nodest_conn",
    "expire_quiescent_template",
    "sloppy_tcp",
    "lblc_expiration",
    "lblcr_expiration",
    "ip_unprivileged_port_start",
];

/// Switches of IPVS that no decision of a replay depends on.
const WITHOUT_EFFECT: [&str; 29] = [
    "am_droprate",
    "amemthresh",
    "backup_only",
    "cache_bypass",
    "conn_lfactor",
    "conn_max",
    "conntrack",
    "debug_level",
    "drop_entry",
    "drop_packet",
    "est_cpulist",
    "est_nice",
    "ignore_tunneled",
    "nat_icmp_send",
    "pmtu_disc",
    "run_estimation",
    "schedule_icmp",
    "secure_tcp",
    "sloppy_sctp",
    "snat_reroute",
    "svc_lfactor",
    "sync_persist_mode",
    "sync_ports",
    "sync_qlen_max",
    "sync_refresh_period",
    "sync_retries",
    "sync_sock_size",
    "sync_threshold",
    "sync_version",
];

/// The longest expiration that the policies lblc and lblcr take: 2^31 − 1 ticks of 250 a second,
/// in seconds.
const EXPIRATION_MAX: u32 = 8_589_934;

impl Switches {
    /// Applies one `NAME=VALUE`. The name may bear its prefix, `net.ipv4.vs.` (or `net.ipv4.` for
    /// `ip_unprivileged_port_start`); a switch given again takes the later value, as with sysctl.
    pub(crate) fn apply(&mut self, text: &str) -> Result<(), Problem> {
        let (name, value) = text.split_once('=').ok_or(Problem::Form {
            form: "NAME=VALUE (conn_reuse_mode=0)",
        })?;
        let (name, value) = (name.trim(), value.trim());
        let short = name
            .strip_prefix("net.ipv4.vs.")
            .or_else(|| name.strip_prefix("net.ipv4."))
            .unwrap_or(name);
        let number = |what, maximum| text::number(what, value, 0, maximum);
        let expiration = |what| text::number(what, value, 1, EXPIRATION_MAX);
        match short {
            "conn_reuse_mode" => self.sysctls.conn_reuse_mode = number("conn_reuse_mode", INT_MAX)?,
            "expire_nodest_conn" => {
                self.sysctls.expire_nodest_conn = number("expire_nodest_conn", INT_MAX)? != 0;
            }
            "expire_quiescent_template" => {
                self.sysctls.expire_quiescent_template =
                    number("expire_quiescent_template", INT_MAX)? != 0;
            }
            "sloppy_tcp" => self.sysctls.sloppy_tcp = number("sloppy_tcp", INT_MAX)? != 0,
            "lblc_expiration" => {
                self.lblc_expiration_s = Some(expiration("lblc_expiration")?);
            }
            "lblcr_expiration" => {
                self.lblcr_expiration_s = Some(expiration("lblcr_expiration")?);
            }
            "ip_unprivileged_port_start" => {
                self.sysctls.unprivileged_port_start =
                    number("ip_unprivileged_port_start", u16::MAX.into())? as u16;
            }
            _ => return Err(without_effect(short, name)),
        }
        Ok(())
    }
}

fn without_effect(short: &str, name: &str) -> Problem {
    let known = EFFECTIVE.join(", ");
    if WITHOUT_EFFECT.contains(&short) {
        Problem::SysctlWithoutEffect {
            name: short.to_owned(),
            known,
        }
    } else {
        Problem::UnknownSysctl {
            name: name.to_owned(),
            known,
        }
    }
}

/// `TCP,FIN,UDP` in seconds over `base`; 0 keeps what `base` has.
pub(crate) fn timeouts(base: Timeouts, text: &str) -> Result<Timeouts, Problem> {
    let words: Vec<&str> = text.split(',').collect();
    let [tcp, fin, udp] = words[..] else {
        return Err(Problem::Form {
            form: "TCP,FIN,UDP in seconds (900,120,300; 0 keeps the default)",
        });
    };
    set_timeouts(base, [tcp, fin, udp])
}

/// What `ipvsadm --set` does with its three words.
pub(crate) fn set_timeouts(base: Timeouts, words: [&str; 3]) -> Result<Timeouts, Problem> {
    let or_kept = |word, kept| {
        text::number("timeout", word, 0, text::MAX_TIMEOUT_S)
            .map(|seconds| if seconds == 0 { kept } else { seconds })
    };
    Ok(Timeouts {
        tcp_s: or_kept(words[0], base.tcp_s)?,
        tcp_fin_s: or_kept(words[1], base.tcp_fin_s)?,
        udp_s: or_kept(words[2], base.udp_s)?,
    })
}

/// `classic` or `current`.
pub(crate) fn profile(text: &str) -> Result<KernelProfile, Problem> {
    match text {
        "classic" => Ok(KernelProfile::Classic),
        "current" => Ok(KernelProfile::Current),
        _ => Err(Problem::UnknownWord {
            what: "kernel",
            word: text.to_owned(),
            known: "classic, current",
        }),
    }
}
