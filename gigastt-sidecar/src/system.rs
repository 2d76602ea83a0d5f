//! What the system tells about this process. Only Linux does.

/// Processor seconds so far: `proc(5)`, fields 14 and 15 of `stat`, in hundredths.
pub(crate) fn cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name, in parentheses, may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |field: &str| field.parse::<f64>().ok();
    let mut fields = fields.split_whitespace().skip(11);
    Some((ticks(fields.next()?)? + ticks(fields.next()?)?) / 100.0)
}

/// Peak resident memory in MB (10^6 bytes): `proc(5)`, `VmHWM` of `status`.
pub(crate) fn peak_memory_mb() -> Option<f64> {
    status_mb("VmHWM:")
}

/// Resident memory in MB (10^6 bytes): `proc(5)`, `VmRSS` of `status`.
pub(crate) fn memory_mb() -> Option<f64> {
    status_mb("VmRSS:")
}

fn status_mb(field: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kb: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kb * 1024.0 / 1e6)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn linux_tells_memory_and_processor_time() {
        assert!(memory_mb().unwrap() > 1.0 && memory_mb() <= peak_memory_mb());
        let before = cpu_s().unwrap();
        let started = Instant::now();
        while started.elapsed().as_millis() < 50 {}
        assert!(cpu_s().unwrap() > before);
    }
}
