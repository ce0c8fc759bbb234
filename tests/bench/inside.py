#!/usr/bin/env python3
"""The benchmark itself, inside the throw-away overlay. Prints a table; keeps nothing.

usage: inside.py FOLDER [--rounds N] [--idle SECONDS]     FOLDER/bin holds the programs
"""
import argparse, base64, json, os, pathlib, shutil, socket, statistics, subprocess, sys, time

args = argparse.ArgumentParser()
args.add_argument("folder", type=pathlib.Path)
args.add_argument("--rounds", type=int, default=30)
args.add_argument("--idle", type=int, default=60)
args.add_argument("--shell", help="runs this instead of the table, with everything up")
args = args.parse_args()
FOLDER, BIN = args.folder, args.folder / "bin"
HOME, STATE = FOLDER / "home", FOLDER / "endpoint"
NULL = os.open("/dev/null", os.O_RDWR)
PORT = 7433
# An endpoint takes 60 orders of one agent in a minute, and a round has five.
ROUND_SECONDS = 5.3


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def wait_for(what, ready):
    for _ in range(400):
        if ready():
            return
        time.sleep(0.05)
    sys.exit(f"{what} did not come")


def unit(name, *command):
    """A unit of its own, so that its processor time can be counted; its words go to a file."""
    log = FOLDER / f"{name}.log"
    run("systemd-run", "-q", f"--unit={name}", "-p", "Delegate=yes", "-p", "Nice=-20", "-p", f"StandardError=append:{log}", *command)
    return log


def cpu_of(name):
    group = run("systemctl", "show", "-P", "ControlGroup", name).strip()
    for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        stat = pathlib.Path(f"{top}{group}/cpu.stat")
        if stat.exists():
            return next(int(l.split()[1]) for l in stat.read_text().splitlines() if l.startswith("usage_usec"))
    return None


def set_up():
    passphrase = FOLDER / "passphrase"
    passphrase.write_text(base64.b64encode(os.urandom(18)).decode() + "\n")
    scripts = FOLDER / "scripts"
    here = pathlib.Path(__file__).parent
    shutil.copytree(here.parent.parent / "scripts", scripts)
    (scripts / "bench").mkdir()
    shutil.copy(here / "nothing.rhai", scripts / "bench" / "nothing.rhai")
    with open(passphrase) as given:
        run(BIN / "salve", "--home", HOME, "--passphrase-fd", given.fileno(), "init", "--profile", "solo",
            "--name", "Bench", "--me", "a.kaya", "--scripts", scripts, pass_fds=[given.fileno()])
    if subprocess.run(["getent", "passwd", "salve-gate"], stdout=NULL).returncode:
        run("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "salve-gate")
    config = FOLDER / "salved.toml"
    config.write_text(f'listen = "127.0.0.1:{PORT}"\nstate = "{STATE}"\nlibexec = "{BIN}"\n'
                      'gate_user = "salve-gate"\nexceptions = []\n')
    enrol = subprocess.Popen([BIN / "salve", "--home", HOME, "--json", "endpoints", "enroll", "pc",
                              "--listen", f"127.0.0.1:{PORT + 1}", "--owner", "jo"], stdout=subprocess.PIPE, text=True)
    token = None
    while token is None:
        token = json.loads(enrol.stdout.readline()).get("token")
    run(BIN / "salved", "--config", config, "enroll", token)
    enrol.communicate()
    log = unit("bench-salved", BIN / "salved", "--config", config, "run")
    wait_for("salved", lambda: "listening" in log.read_text() if log.exists() else False)


def set_up_desk():
    """The shared desk over the same home, and the same agent's console on another machine: no store."""
    log = unit("bench-desk", BIN / "salve", "--home", HOME, "serve", "--listen", f"127.0.0.1:{PORT + 2}")
    wait_for("the desk", lambda: "listening" in log.read_text() if log.exists() else False)
    away = FOLDER / "away"
    shutil.copytree(HOME, away, ignore=shutil.ignore_patterns("desk.db*"))
    run(BIN / "salve", "--home", away, "desk", "set", f"127.0.0.1:{PORT + 2}")
    return away


def set_up_ssh():
    folder = pathlib.Path("/var/lib/bench-ssh")
    folder.mkdir(mode=0o700)
    for key in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key)
    shutil.copy(folder / "user.pub", folder / "authorized")
    folder.chmod(0o711)
    # Nobody's shell start-up files in the way.
    run("useradd", "-m", "-p", "*", "-s", "/bin/sh", "bench")
    pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    unit("bench-sshd", "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-h", folder / "host", "-p", "2222",
         "-o", "ListenAddress=127.0.0.1", "-o", f"AuthorizedKeysFile={folder / 'authorized'}",
         "-o", "UsePAM=no", "-o", "StrictModes=no")

    def up():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", 2222)) == 0
    wait_for("sshd", up)
    base = ["/usr/bin/ssh", "-F", "none", "-p", "2222", "-i", str(folder / "user"), "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
    control = ["-o", f"ControlPath={folder / 'control'}"]
    run(*base, "bench@127.0.0.1", "true")
    subprocess.run([*base, *control, "-M", "-f", "-N", "bench@127.0.0.1"], check=True, stdin=NULL, stdout=NULL, stderr=NULL)
    return base, control


def command(*words):
    """Wall and processor time of a command, process start to its end, milliseconds."""
    words = [str(w) for w in words]
    actions = [(os.POSIX_SPAWN_DUP2, NULL, fd) for fd in (0, 1, 2)]

    def once():
        began = time.perf_counter()
        pid = os.posix_spawn(words[0], words, os.environ, file_actions=actions)
        _, status, used = os.wait4(pid, 0)
        took = time.perf_counter() - began
        code = os.waitstatus_to_exitcode(status)
        if code not in (0, 1):  # 1 of salve: a person should look at what it found
            sys.exit(f"{' '.join(words)}: {code}")
        return took * 1000, (used.ru_utime + used.ru_stime) * 1000
    return once


class Held:
    def __init__(self, script, home=HOME):
        self.process = subprocess.Popen([BIN / "held", home, "pc", script], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.ran = []

    def cpu(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def once(self):
        before = self.cpu()
        self.process.stdin.write("\n")
        answer = json.loads(self.process.stdout.readline())
        self.ran.append(answer["ran"])
        return answer["ms"], self.cpu() - before

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def synced():
    """What the disk asks for 200 bytes that must stay: a write into space that is taken, and fdatasync."""
    path = FOLDER / "synced"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(1 << 20))
    os.fsync(fd)
    at = 0

    def once():
        nonlocal at
        began = time.perf_counter()
        os.pwrite(fd, os.urandom(200), at)
        os.fdatasync(fd)
        at += 200
        return (time.perf_counter() - began) * 1000, 0.0
    return once


def row(name, samples):
    wall = sorted(s[0] for s in samples)
    p90 = wall[min(len(wall) - 1, int(len(wall) * 0.9))]
    cpu = statistics.median(s[1] for s in samples)
    there = statistics.mean(s[2] for s in samples) if len(samples[0]) > 2 else None
    cells = [f"{wall[0]:.2f}", f"{statistics.median(wall):.2f}", f"{p90:.2f}", f"{cpu:.2f}", f"{there:.2f}" if there else ""]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def also(name, once):
    """Counts the processor time of a unit too, milliseconds, with what it does behind its answer."""
    def both():
        before = cpu_of(name)
        sample = once()
        time.sleep(0.1)
        return *sample, (cpu_of(name) - before) / 1000
    return both


def processes():
    keeper = int(run("systemctl", "show", "-P", "MainPID", "bench-salved"))
    gate = [int(p) for p in run("pgrep", "-P", keeper).split()]
    return {"keeper": keeper, "gate": gate[0]}


def pss(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(l.split()[1]) for l in text.splitlines() if l.startswith("Pss:"))


def switches(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if "ctxt_switches" in line:
                total += int(line.split()[1])
    return total


def table():
    base, control = set_up_ssh()
    host = "bench@127.0.0.1"
    salve = [BIN / "salve", "--home", HOME, "--json", "check"]
    nothing, health = Held("bench.nothing"), Held("health.check")
    away = set_up_desk()
    shared = Held("bench.nothing", away)
    rows = {
        "`salve check health.check`, cold": also("bench-salved", command(*salve, "health.check", "--on", "pc")),
        "`salve check` of an empty script, cold": also("bench-salved", command(*salve, "bench.nothing", "--on", "pc")),
        "health.check, connection held": also("bench-salved", health.once),
        "empty script, connection held": also("bench-salved", nothing.once),
        "empty script, held, through the shared desk": also("bench-desk", shared.once),
        "`ssh host true`, ControlMaster open": also("bench-sshd", command(*base, *control, host, "true")),
        "`ssh host true`, cold": also("bench-sshd", command(*base, host, "true")),
        "`salve --version`": command(BIN / "salve", "--version"),
        "`sh -c true`": command("/bin/sh", "-c", "true"),
        "200 bytes and `fdatasync`": synced(),
    }
    samples = {name: [] for name in rows}
    for once in rows.values():
        once()
    nothing.ran.clear(), health.ran.clear()
    for _ in range(args.rounds):
        began = time.monotonic()
        for name, once in rows.items():
            samples[name].append(once())
        time.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - began)))
    print("| | min ms | median ms | p90 ms | CPU of the tool, ms | CPU on the endpoint (or of the desk), ms |\n|---|---|---|---|---|---|")
    for name, found in samples.items():
        row(name, found)
    for name, held in (("empty script", nothing), ("health.check", health)):
        row(f"of that, accepted to ended, {name}", [(ms, 0.0) for ms in held.ran])
    nothing.close(), health.close(), shared.close()
    print(f"\nLoad while it ran: {' '.join(f'{l:.1f}' for l in os.getloadavg())} on {os.cpu_count()} processors")

    run("systemctl", "stop", "bench-desk")
    # Until the last session's timers are over.
    time.sleep(40)
    who = processes()
    before = {name: switches(pid) for name, pid in who.items()}
    time.sleep(args.idle)
    woken = {name: switches(pid) - before[name] for name, pid in who.items()}
    sizes = {name: pss(pid) / 1024 for name, pid in who.items()}
    print(f"PSS idle: keeper {sizes['keeper']:.1f} MiB, gate {sizes['gate']:.1f} MiB, together {sum(sizes.values()):.1f} MiB")
    print(f"Context switches in {args.idle} s without sessions: keeper {woken['keeper']}, gate {woken['gate']}")
    names = ("salved", "gate", "interpreter", "executor", "prompter")
    disk = {name: (BIN / name).stat().st_size / (1 << 20) for name in names}
    print("On disk: " + ", ".join(f"{n} {s:.1f}" for n, s in disk.items()) + f", together {sum(disk.values()):.1f} MiB")


# Whatever else the machine does stands behind what is measured: all rows alike.
os.nice(-20)
set_up()
if args.shell:
    subprocess.run(["bash", "-c", args.shell], env={**os.environ, "BIN": str(BIN), "HOME_": str(HOME), "FOLDER": str(FOLDER)})
else:
    table()
