#!/usr/bin/env python3
"""Attacks on a sandbox, tried for real, as TAP.

	attacks.py BOXCLI INIT NONS

Each attack is one program. It runs first without the sandbox, bounded and
harmless, and must succeed there: an attack that cannot succeed shows nothing.
Then it runs inside and must be refused. Where this machine or this user cannot
do it at all even outside, that half is skipped, with the reason. The list runs
in the mode the machine offers and, shorter, in each weaker one.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BOXCLI, INIT, NONS = (os.path.abspath(a) for a in sys.argv[1:4])
PYTHON = '/usr/bin/python3'
WON = 'THE-ATTACK-SUCCEEDED'
SECRET = 'planted-secret-7f3a'
count = failed = 0
label = ''
already = {}  # what was shown outside once holds for every mode


def ok(good, name, why=''):
    global count, failed
    count += 1
    print('%s %d - %s%s' % ('ok' if good else 'not ok', count, label, name), flush=True)
    if not good:
        failed += 1
        for line in str(why).splitlines()[:30]:
            print('#   ' + line)


def skip(name, why):
    global count
    count += 1
    print('ok %d - %s%s # SKIP %s' % (count, label, name, why), flush=True)


def box(*steps, opts=(), timeout=90, env=None):
    """Runs boxcli with these steps (lists of arguments); answers its output."""
    args = [BOXCLI, '--init', INIT] + list(opts)
    for i, s in enumerate(steps):
        args += ([';'] if i else []) + list(s)
    try:
        p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=timeout, env=env)
        return p.stdout.decode('utf-8', 'replace')
    except subprocess.TimeoutExpired as e:
        return 'HUNG ' + (e.stdout or b'').decode('utf-8', 'replace')


def outside(program, timeout=60, cwd=None, preexec=None):
    try:
        p = subprocess.run([PYTHON, '-I', '-c', program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=timeout, cwd=cwd or scratch, preexec_fn=preexec)
        return p.stdout.decode('utf-8', 'replace')
    except subprocess.TimeoutExpired:
        return 'TIMEOUT'


PRELUDE = '''
import ctypes, errno, os, socket, struct, sys, time
WON = %r
libc = ctypes.CDLL(None, use_errno=True)
def call(nr, *args):
    libc.syscall.restype = ctypes.c_long
    r = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(a) if isinstance(a, int) else a for a in args])
    return r, ctypes.get_errno()
def won(*a): print(WON, *a, flush=True)
''' % WON

X86 = os.uname().machine == 'x86_64'
# numbers of x86_64, aarch64
NR = {n: (a if X86 else b) for n, (a, b) in {
    'ptrace': (101, 117), 'unshare': (272, 97), 'setns': (308, 268), 'mount': (165, 40), 'chroot': (161, 51),
    'pivot_root': (155, 41), 'bpf': (321, 280), 'perf_event_open': (298, 241), 'userfaultfd': (323, 282),
    'keyctl': (250, 219), 'add_key': (248, 217), 'io_uring_setup': (425, 425), 'memfd_create': (319, 279),
    'shmget': (29, 194), 'msgget': (68, 186), 'semget': (64, 190), 'process_vm_readv': (310, 270),
    'kcmp': (312, 272), 'name_to_handle_at': (303, 264), 'clone': (56, 220), 'clone3': (435, 435),
    'fanotify_init': (300, 262), 'syslog': (103, 116), 'open_tree': (428, 428), 'fsopen': (430, 430),
    'mbind': (237, 235), 'clock_adjtime': (305, 266), 'sethostname': (170, 161), 'pidfd_getfd': (438, 438),
    'acct': (163, 89), 'quotactl': (179, 60),
}.items()}


def syscall_attacks():
    """name, program. Success is any answer but EPERM and ENOSYS."""
    judge = '\nif r >= 0 or e not in (errno.EPERM, errno.ENOSYS): won(r, e)\n'
    plain = {
        'ptrace: be traced': 'r, e = call(%d, 0, 0, 0, 0)' % NR['ptrace'],
        'unshare a user namespace': 'r, e = call(%d, 0x10000000)' % NR['unshare'],
        'unshare a network namespace': 'r, e = call(%d, 0x50000000)' % NR['unshare'],
        'setns': 'r, e = call(%d, os.open("/proc/self/ns/net", 0) if os.path.exists("/proc/self/ns/net") else 0, 0)' % NR['setns'],
        'bpf': 'r, e = call(%d, 0, ctypes.create_string_buffer(128), 128)' % NR['bpf'],
        'perf_event_open': 'r, e = call(%d, ctypes.create_string_buffer(128), 0, -1, -1, 0)' % NR['perf_event_open'],
        'userfaultfd': 'r, e = call(%d, 1)' % NR['userfaultfd'],
        'keyctl': 'r, e = call(%d, 0, -3, 1)' % NR['keyctl'],
        'add_key': 'r, e = call(%d, b"user", b"theazo-test", b"x", 1, -2)' % NR['add_key'],
        'io_uring': 'r, e = call(%d, 4, ctypes.create_string_buffer(120))' % NR['io_uring_setup'],
        'memfd (memory nobody counts)': 'r, e = call(%d, b"x", 0)' % NR['memfd_create'],
        'System V shared memory': 'r, e = call(%d, 0, 4096, 0o1600)\nif r >= 0: call(%d, r, 0, None)' % (NR['shmget'], 31 if X86 else 195),
        'System V messages': 'r, e = call(%d, 0, 0o1600)\nif r >= 0: call(%d, r, 0, None)' % (NR['msgget'], 71 if X86 else 187),
        'System V semaphores': 'r, e = call(%d, 0, 1, 0o1600)\nif r >= 0: call(%d, r, 0, 0)' % (NR['semget'], 66 if X86 else 191),
        'process_vm_readv': 'r, e = call(%d, os.getpid(), None, 0, None, 0, 0)' % NR['process_vm_readv'],
        'kcmp': 'r, e = call(%d, os.getpid(), os.getpid(), 0, 0, 0)' % NR['kcmp'],
        'name_to_handle_at': 'r, e = call(%d, -100, b"/usr", ctypes.create_string_buffer(256), ctypes.byref(ctypes.c_int()), 0)' % NR['name_to_handle_at'],
        'clone3': 'r, e = call(%d, None, 0)' % NR['clone3'],
        'open_tree': 'r, e = call(%d, -100, b"/usr", 1)' % NR['open_tree'],
        'fsopen': 'r, e = call(%d, b"tmpfs", 0)' % NR['fsopen'],
        'mbind': 'r, e = call(%d, 0, 0, 0, None, 0, 0)' % NR['mbind'],
        'pidfd_getfd': 'r, e = call(%d, -1, 0, 0)' % NR['pidfd_getfd'],
        'fanotify_init': 'r, e = call(%d, 0x200, 0)' % NR['fanotify_init'],
        'kernel log': 'r, e = call(%d, 10, None, 0)' % NR['syslog'],
        'chroot': 'r, e = call(%d, b"/")' % NR['chroot'],
        'mount': 'r, e = call(%d, b"none", b"/nonexistent-dir", b"tmpfs", 0, None)' % NR['mount'],
        'quotactl': 'r, e = call(%d, 0x80000100, None, 0, None)' % NR['quotactl'],
    }
    out = [(name, PRELUDE + body + judge) for name, body in plain.items()]
    out.append(('clone with a new user namespace', PRELUDE + '''
r, e = call(%d, 0x10000000 | 17, 0, 0, 0, 0)
if r == 0: os._exit(0)
if r > 0: os.waitpid(r, 0)
if r >= 0: won()
''' % NR['clone']))
    for name, family, kind in (('netlink', 16, 3), ('packet', 17, 3), ('vsock', 40, 1), ('kernel crypto', 38, 5),
                               ('bluetooth', 31, 3), ('raw IP', 2, 3), ('stream control', 2, 5), ('IPv6 stream control', 10, 5)):
        out.append(('socket: %s' % name, PRELUDE + '''
try:
    socket.socket(%d, %d, 1 if (%d, %d) == (2, 3) else 0)
    won()
except OSError as e: print(e)
''' % (family, kind, family, kind)))
    return out


def plant():
    """What there is to steal and to hurt: ours, in our own directory."""
    global scratch, secret_file, tcp, unix_path, sibling
    scratch = tempfile.mkdtemp(prefix='theazo-attacks.')
    os.chmod(scratch, 0o755)
    secret_file = os.path.join(scratch, 'secret')
    with open(secret_file, 'w') as f:
        f.write(SECRET)
    tcp = socket.socket()
    tcp.bind(('127.0.0.1', 0))
    tcp.listen(16)
    unix_path = os.path.join(scratch, 'sock')
    plant.unix = socket.socket(socket.AF_UNIX)
    plant.unix.bind(unix_path)
    plant.unix.listen(16)
    os.chmod(unix_path, 0o777)
    plant.abstract = socket.socket(socket.AF_UNIX)
    plant.abstract.bind('\0theazo-attack-%d' % os.getpid())
    plant.abstract.listen(16)
    sibling = subprocess.Popen(['sleep', '3600'], env={'PLANTED': SECRET})


def steal_attacks():
    port = tcp.getsockname()[1]
    return [
        ('read a file of the machine', PRELUDE + 'if %r in open(%r).read(): won()' % (SECRET, secret_file)),
        ('read a file through a link', PRELUDE + '''
os.path.lexists("l1") or os.symlink(%r, "l1")
if %r in open("l1").read(): won()''' % (secret_file, SECRET)),
        ('list the machine\'s directories', PRELUDE + 'if os.listdir(%r): won()' % scratch),
        ('read a process\'s environment', PRELUDE + '''
for p in os.listdir("/proc"):
    try:
        if b"PLANTED=" in open("/proc/%%s/environ" %% p, "rb").read(): won()
    except OSError: pass
''' % ()),
        ('see a process\'s command line', PRELUDE + '''
for p in os.listdir("/proc"):
    try:
        if b"sleep\\0003600" in open("/proc/%s/cmdline" % p, "rb").read(): won()
    except OSError: pass
'''),
        ('signal a process', PRELUDE + 'os.kill(%d, 0); won()' % sibling.pid),
        ('change a process\'s priority', PRELUDE + 'os.setpriority(os.PRIO_PROCESS, %d, 5); won()' % sibling.pid),
        ('connect to a loopback port', PRELUDE + 's = socket.create_connection(("127.0.0.1", %d), 3); won()' % port),
        ('connect to a unix socket', PRELUDE + 's = socket.socket(socket.AF_UNIX); s.connect(%r); won()' % unix_path),
        ('connect to an abstract unix socket', PRELUDE +
         's = socket.socket(socket.AF_UNIX); s.connect("\\0theazo-attack-%d"); won()' % os.getpid()),
        ('reach the metadata address', PRELUDE + '''
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(("169.254.169.254", 80)); won(s.getsockname())'''),
        ('have an address other than loopback', PRELUDE + '''
names = [n for i, n in socket.if_nameindex() if n != "lo"] if os.path.exists("/sys/class/net") else [
    l.split(":")[0].strip() for l in open("/proc/net/dev").readlines()[2:] if l.split(":")[0].strip() != "lo"]
if names: won(names)'''),
        ('gain rights by a set-user-id program', PRELUDE + '''
for line in open("/proc/self/status"):
    if line.startswith("NoNewPrivs:") and line.split()[1] == "0": won()'''),
        ('keep a capability in the bounding set', PRELUDE + '''
for line in open("/proc/self/status"):
    if line.startswith("CapBnd:") and int(line.split()[1], 16) != 0: won()'''),
        ('look into a parent', PRELUDE + '''
for pid in (os.getppid(), 1):
    try:
        open("/proc/%d/environ" % pid, "rb").read(); os.readlink("/proc/%d/exe" % pid)
        os.listdir("/proc/%d/fd" % pid); won(pid)
    except OSError as e: print(e)'''),
        ('open the machine\'s disk', PRELUDE + '''
for n in os.listdir("/dev"):
    if n.startswith(("vd", "sd", "nvme", "mem", "kmsg")) and not os.path.isdir("/dev/" + n):
        try: os.open("/dev/" + n, os.O_RDONLY); won(n)
        except OSError: pass'''),
        ('make a device', PRELUDE + '''
import stat
try: os.unlink("dev1")
except OSError: pass
os.mknod("dev1", stat.S_IFCHR | 0o600, os.makedev(1, 3)); os.open("dev1", os.O_RDWR); won()'''),
        ('open a kernel setting for writing', PRELUDE + 'os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY); won()'),
        ('open the sysrq trigger', PRELUDE + 'os.open("/proc/sysrq-trigger", os.O_WRONLY); won()'),
        ('open a system file for writing', PRELUDE + 'os.open("/usr/bin/env", os.O_RDWR | os.O_APPEND); won()'),
        ('hard link to a system file', PRELUDE + '''
import shutil
try: os.unlink("h1")
except OSError: pass
os.link("/usr/bin/env", "h1"); won()'''),
        ('write to the root of the file system', PRELUDE + '''
open("/theazo-attack", "w").close(); os.unlink("/theazo-attack"); won()'''),
        ('type into a terminal (TIOCSTI)', PRELUDE + '''
import fcntl
if os.fork() == 0:
    os.setsid(); m, s = os.openpty(); fcntl.ioctl(s, 0x540E, 0); fcntl.ioctl(s, 0x5412, b"x"); won(); os._exit(0)
os.wait()'''),
        ('change a terminal\'s line discipline', PRELUDE + '''
import fcntl
m, s = os.openpty(); fcntl.ioctl(s, 0x5423, struct.pack("i", 0)); won()'''),
        ('mount in a namespace of one\'s own', PRELUDE + '''
if os.fork() == 0:
    r, e = call(%d, 0x10020000)
    if r == 0 and call(%d, b"none", b"/usr/local", b"tmpfs", 0, None)[0] == 0: won()
    os._exit(0)
os.wait()''' % (NR['unshare'], NR['mount'])),
    ] + ([('system call of another processor mode (x32)', PRELUDE + '''
import mmap
m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex("b827000040" "0f05" "c3"))
f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
f(); won()'''),
        ('system call of another processor mode (i386)', PRELUDE + '''
import mmap
m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex("b814000000" "cd80" "c3"))
f = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
f(); won()''')] if X86 else [])


def bomb_attacks():
    """name, program, options of the box. Bounded: outside they end by themselves and clean up."""
    small = ['--memory', '200', '--disk', '32', '--file', '16']
    return [
        ('300 processes', PRELUDE + '''
import signal
kids = []
try:
    for i in range(300):
        p = os.fork()
        if p == 0: signal.pause() if hasattr(signal, "pause") else time.sleep(30); os._exit(0)
        kids.append(p)
    won(len(kids))
except OSError as e: print(len(kids), e)
finally:
    for p in kids: os.kill(p, 9)
    for p in kids: os.waitpid(p, 0)''', []),
        ('300 threads', PRELUDE + '''
import threading
ev = threading.Event(); ts = []
try:
    for i in range(300):
        t = threading.Thread(target=ev.wait); t.start(); ts.append(t)
    won()
except RuntimeError as e: print(len(ts), e)
finally: ev.set()''', []),
        ('600 MB in one process', PRELUDE + '''
x = bytearray(600 << 20)
for i in range(0, len(x), 4096): x[i] = 1
won()''', small),
        ('20 processes of 30 MB', PRELUDE + '''
import signal
kids = []; r, w = os.pipe()
for i in range(20):
    p = os.fork()
    if p == 0:
        x = bytearray(30 << 20)
        for j in range(0, len(x), 4096): x[j] = 1
        os.write(w, b"x"); time.sleep(30); os._exit(0)
    kids.append(p)
n = 0
while n < 20: n += len(os.read(r, 20))
time.sleep(0.3); won()
for p in kids: os.kill(p, 9)''', small),
        ('600 MB of shared memory', PRELUDE + '''
import mmap
keep = []
for i in range(20):
    m = mmap.mmap(-1, 30 << 20)
    for j in range(0, len(m), 4096): m[j] = 1
    keep.append(m)
time.sleep(0.3); won()''', small),
        ('fill the disk with 100 MB', PRELUDE + '''
try:
    for i in range(10):
        with open("fill%d" % i, "wb") as f: f.write(bytes(10 << 20))
    won()
finally:
    for n in os.listdir("."):
        if n.startswith("fill"): os.unlink(n)''', small),
        ('one file of 40 MB', PRELUDE + '''
try:
    with open("big", "wb") as f: f.write(bytes(20 << 20)); f.write(bytes(20 << 20))
    won()
finally: os.path.exists("big") and os.unlink("big")''', ['--disk', '128', '--file', '16']),
        ('a sparse file of 1 TB', PRELUDE + '''
try:
    with open("sparse", "wb") as f: f.truncate(1 << 40)
    won()
finally: os.path.exists("sparse") and os.unlink("sparse")''', []),
        ('120000 empty files', PRELUDE + '''
os.mkdir("many")
try:
    for i in range(120000): os.close(os.open("many/%d" % i, os.O_CREAT | os.O_WRONLY))
    won()
finally:
    import shutil; shutil.rmtree("many", True)''', []),
        ('1000 open files', PRELUDE + '''
import resource
try: resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
except (ValueError, OSError): pass
keep = [open("/dev/null") for i in range(1000)]
won()''', []),
        ('raise a limit', PRELUDE + '''
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
if hard == resource.RLIM_INFINITY: won()
else: resource.setrlimit(resource.RLIMIT_DATA, (hard * 2, hard * 2)); won()''', []),
        ('three seconds of processor', PRELUDE + '''
t = time.process_time()
while time.process_time() - t < 3: pass
won()''', ['--cpu', '1']),
        ('fill /tmp with 80 MB', PRELUDE + '''
import tempfile
try:
    for i in range(8):
        with open("/tmp/theazo-fill%d-%d" % (os.getpid(), i), "wb") as f: f.write(bytes(10 << 20))
    won()
finally:
    for i in range(8):
        try: os.unlink("/tmp/theazo-fill%d-%d" % (os.getpid(), i))
        except OSError: pass''', []),
        ('fill /dev/shm with 50 MB', PRELUDE + '''
p = "/dev/shm/theazo-fill%d" % os.getpid()
try:
    with open(p, "wb") as f:
        for i in range(50): f.write(bytes(1 << 20)); f.flush()
    won()
finally: os.path.exists(p) and os.unlink(p)''', []),
    ]


def show(name, program):
    """The half without the sandbox, once for all modes."""
    if name in already:
        return
    shown = already[name] = outside(program)
    if WON in shown:
        ok(True, name + ': succeeds without the sandbox')
    else:
        last = (shown.strip().splitlines() or ['no answer'])[-1]
        skip(name + ': succeeds without the sandbox', 'not for this user on this machine: ' + last[:80].replace('#', ''))


def step_of(program):
    return ['exec', '-t', '30000', '--', 'python3', '-I', '-c', program]


def try_attack(name, program, opts):
    show(name, program)
    got = box(step_of(program), opts=mode_opts + list(opts))
    ok('exec status=' in got and WON not in got and 'HUNG' not in got, name + ': refused inside', got)


def try_together(attacks):
    """Attacks without options of their own share a box, one after the other."""
    for name, program in attacks:
        show(name, program)
    got = box(*[step_of(program) for _, program in attacks], opts=mode_opts, timeout=240)
    answers = re.split(r'^exec status=', got, flags=re.M)[1:]
    answers += ['no answer'] * (len(attacks) - len(answers))
    for (name, _), answer in zip(attacks, answers):
        ok(answer.startswith('ok ') and WON not in answer, name + ': refused inside', answer)


def processes(marker):
    out = []
    for p in os.listdir('/proc'):
        try:
            if p.isdigit() and marker.encode() in open('/proc/%s/cmdline' % p, 'rb').read():
                out.append(int(p))
        except OSError:
            pass
    return out


def gone(marker, seconds):
    until = time.time() + seconds
    while processes(marker) and time.time() < until:
        time.sleep(0.02)
    return not processes(marker)


def kill_all(marker):
    for p in processes(marker):
        if p != os.getpid():
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass


def tree_attacks():
    # a child in a session of its own, deaf to signals, survives a timeout
    mark = '7%06d' % (os.getpid() % 1000000)
    script = 'trap "" TERM HUP INT; (setsid sh -c "trap \'\' TERM; sleep %s" &); sleep %s' % (mark, mark)
    p = subprocess.Popen(['bash', '-c', script], stdout=subprocess.DEVNULL)
    time.sleep(0.3)
    p.terminate()
    time.sleep(0.3)
    p.kill()
    p.wait()
    ok(processes('sleep\0' + mark), 'outlive a timeout in another session: succeeds without the sandbox')
    kill_all('sleep\0' + mark)
    got = box(['exec', '-t', '500', '--', 'bash', '-c', script],
              ['exec', '--', 'bash', '-c', 'pgrep -c sleep; true'], opts=mode_opts)
    ok('timed_out' in got and (no_proc or 'out(2): 0' in got) and not processes('sleep\0' + mark),
       'outlive a timeout in another session: refused inside', got)

    # everything dies with the parent
    args = [BOXCLI, '--init', INIT] + mode_opts + ['exec', '-t', '60000', '--', 'bash', '-c',
                                                  'setsid sleep %s1 & (setsid sleep %s1 &) ; sleep %s1' % ((mark,) * 3)]
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL)
    until = time.time() + 10
    while len(processes('sleep\0' + mark + '1')) < 3 and time.time() < until:
        time.sleep(0.02)
    seen = len(processes('sleep\0' + mark + '1'))
    p.send_signal(signal.SIGKILL)
    p.wait()
    ok(seen >= 3 and gone('sleep\0' + mark + '1', 0.5), 'outlive a parent killed by SIGKILL: nothing is left after half a second',
       '%d seen, %s left' % (seen, processes('sleep\0' + mark + '1')))
    ok(gone('theazo-init', 1) or not processes(INIT), 'no sandbox process is left')

    got = box(['exec', '--', 'bash', '-c', 'kill -9 1; kill -STOP 1; kill -TERM 1; echo signalled'],
              ['exec', '--', 'echo', 'alive'], opts=mode_opts)
    ok('out(6): alive' in got, 'kill the init: it does not hear', got)
    got = box(['start', '--', 'bash', '-c', 'kill -9 -1; sleep 1; echo went on'], ['sleep', '300'],
              ['exec', '--', 'echo', 'alive'], ['wait'], opts=mode_opts)
    ok('out(6): alive' in got, 'kill everybody: the sandbox goes on', got)
    for shell, bomb in (('bash', ':(){ :|:& };: ; sleep 20'), ('python3', 'import os\nwhile True:\n  try: os.fork()\n  except OSError: pass')):
        got = box(['exec', '-t', '3000', '--', shell, '-c', bomb], ['exec', '--', 'echo', 'alive'], opts=mode_opts)
        ok('out(6): alive' in got, 'fork bomb in %s: the sandbox goes on' % shell, got)


def output_attacks():
    p = subprocess.run(['bash', '-c', 'yes | head -c 20000000 | wc -c'], stdout=subprocess.PIPE)
    ok(b'20000000' in p.stdout, 'flood of output: succeeds without the sandbox')
    got = box(['exec', '-o', '100000', '--', 'bash', '-c', 'yes >&2 & yes'], opts=['--quiet'] + mode_opts)
    ok('truncated' in got and 'exit=137' in got, 'flood of output: cut inside', got)
    got = box(['exec', '-o', '1000', '--', 'bash', '-c', "printf 'a\\0\\377\\376'; exit 0"], opts=mode_opts)
    ok('exit=0' in got and 'out(4)' in got, 'binary output comes as it is', got)


def file_attacks():
    make = ('ln -s %s l; ln -s %s d; ln -s / r; mkfifo f; ln -s /dev/zero z; ln -s /proc/self/environ e; mkdir x; echo in > x/in'
            % (secret_file, scratch))
    for path in ('l', 'd/secret', 'r' + secret_file, secret_file, '../' * 8 + secret_file[1:], 'x/' + '../' * 9 + secret_file[1:], 'e'):
        real = os.path.join(scratch, 'links')
        shutil.rmtree(real, True)
        os.mkdir(real)
        subprocess.run(['bash', '-c', make], cwd=real, check=True)
        if path != 'e':
            try:
                with open(os.path.join(real, path)) as f:
                    ok(SECRET in f.read(), 'read by path %.40s: succeeds without the sandbox' % path)
            except OSError as e:
                ok(False, 'read by path %.40s: succeeds without the sandbox' % path, e)
        got = box(['exec', '--', 'bash', '-c', make], ['read', path], opts=mode_opts)
        ok('read status=' in got and 'read status=ok' not in got and SECRET not in got, 'read by path %.40s: refused' % path, got)
        got = box(['exec', '--', 'bash', '-c', make], ['write', path, 'overwritten'], ['list', path.rstrip('secret') or '/'], opts=mode_opts)
        with open(secret_file) as f:
            ok(f.read() == SECRET, 'write by path %.40s: nothing outside changes' % path, got)
    for path in ('f', 'z'):
        t = time.time()
        got = box(['exec', '--', 'bash', '-c', make], ['read', path], ['write', path, 'x'], opts=mode_opts)
        ok('read status=bad_input' in got and 'write status=bad_input' in got and time.time() - t < 10,
           'read and write of %s do not hang' % ('a FIFO' if path == 'f' else 'a device'), got)
    got = box(['exec', '--', 'bash', '-c', 'truncate -s 60M big; echo ok'], ['read', 'big', '1000000'], opts=mode_opts)
    ok('read status=too_large' in got, 'a file over the ceiling is refused', got)
    got = box(['start', '-t', '4000', '--', 'bash', '-c', 'while :; do head -c 500000 /dev/urandom > c; : > c; done'],
              *([['read', 'c', '1000000']] * 20), ['cancel'], ['exec', '--', 'echo', 'alive'], opts=['--quiet'] + mode_opts)
    ok(got.count('read status=') == 20 and 'exec status=ok' in got, 'a file that changes while it is read', got)


def neighbours():
    """Another sandbox of the same user: its files, ports and processes."""
    server = PRELUDE + '''
open("mine", "w").write(%r)
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", %d)); s.listen(5)
a = socket.socket(socket.AF_UNIX); a.bind("\\0theazo-neighbour"); a.listen(5)
print("listening", flush=True); time.sleep(%d)'''
    client = PRELUDE + '''
for what, f in (("file", lambda: open(%r + "/mine").read()),
                ("port", lambda: socket.create_connection(("127.0.0.1", %d), 2)),
                ("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0theazo-neighbour"))):
    try: f(); won(what)
    except OSError as e: print(what, e)'''
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    port = s.getsockname()[1]
    s.close()
    d = os.path.join(scratch, 'neighbour')
    os.makedirs(d, exist_ok=True)
    p = subprocess.Popen([PYTHON, '-I', '-c', server % (SECRET, port, 20)], cwd=d, stdout=subprocess.PIPE)
    p.stdout.readline()
    got = outside(client % (d, port))
    ok(got.count(WON) == 3, 'reach a neighbour: succeeds without the sandbox', got)
    p.kill()
    p.wait()
    args = [BOXCLI, '--init', INIT] + mode_opts + ['write', 'x', 'y', ';', 'start', '-t', '20000', '--', 'python3', '-I', '-c',
                                                  server % (SECRET, port, 15), ';', 'wait']
    p = subprocess.Popen(args, stdout=subprocess.PIPE)
    p.stdout.readline()
    time.sleep(1)
    got = box(['exec', '--', 'python3', '-I', '-c', client % ('/workspace', port)], opts=mode_opts)
    ok('exec status=ok' in got and WON not in got, 'reach a neighbour: refused inside', got)
    p.kill()
    p.wait()


def network():
    port = tcp.getsockname()[1]
    client = PRELUDE + '''
s = socket.create_connection(("127.0.0.1", 3128), 3)
s.sendall(b"CONNECT %s:%d HTTP/1.1\\r\\n\\r\\n"); a = s.recv(1000); print(a)
if b" 200 " in a: won()'''
    got = box(['exec', '--', 'python3', '-I', '-c', client % ('127.0.0.1', port)], opts=['--net'] + mode_opts)
    ok(WON in got and 'connect 127.0.0.1:%d' % port in got, 'the relay carries what the parent allows', got)
    got = box(['exec', '--', 'python3', '-I', '-c', client % ('127.0.0.1', port)], opts=['--deny'] + mode_opts)
    ok(WON not in got and ' 403 ' in got, 'the relay refuses what the parent refuses', got)
    got = box(['exec', '--', 'python3', '-I', '-c', client % ('127.0.0.1', port)], opts=mode_opts)
    ok(WON not in got and 'exec status=ok' in got, 'there is no relay without the network', got)
    got = box(['exec', '--', 'python3', '-I', '-c', PRELUDE +
               's = socket.create_connection(("127.0.0.1", %d), 3); won()' % port], opts=['--net'] + mode_opts)
    ok(WON not in got, 'with the network a direct connection still fails', got)


def degraded():
    """Machines that offer less: refused, with the reason and what to change."""
    for what in ('namespaces', 'seccomp'):
        run = [NONS, what, BOXCLI, '--init', INIT]
        p = subprocess.run(run + ['preflight'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        text = p.stdout.decode()
        ok('mode: none' in text and p.returncode != 0 and 'hint="' in text, 'no %s: the preflight says none, with a hint' % what, text)
        if what == 'namespaces':
            ok('local sandboxes need unprivileged user namespaces' in text, 'no namespaces: the documented message', text)
        p = subprocess.run(run + ['exec', '--', 'echo', WON], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        ok(WON not in p.stdout.decode().replace('echo ' + WON, ''), 'no %s: nothing runs without the wall' % what, p.stdout.decode())


def main():
    global label, mode_opts, no_proc
    out = subprocess.run([BOXCLI, '--init', INIT, 'preflight'], stdout=subprocess.PIPE).stdout.decode()
    mode = re.search(r'mode: (\w+) flags: (\d+)', out)
    for line in out.splitlines():
        print('# ' + line)
    user = 'root' if os.geteuid() == 0 else 'ordinary user'
    if mode is None or mode.group(1) == 'none':
        skip('attacks', 'this machine offers no sandbox to %s' % user)
        print('1..%d' % count)
        return
    offered = int(mode.group(2))
    weaker = [offered | f for f in (1, 2) if offered | f != offered]
    plant()
    try:
        for flags in [offered] + weaker:
            mode_opts = ['--flags', str(flags)]
            no_proc = bool(flags & 1)
            label = '[%s%s, %s] ' % (mode.group(1), ''.join(w for b, w in (
                (1, ', no /proc'), (2, ', nested namespaces by filter only')) if flags & b), user)
            print('# mode: ' + label)
            try_together(steal_attacks() + syscall_attacks())
            tree_attacks()
            neighbours()
            if flags == offered:
                file_attacks()
                output_attacks()
                network()
            for name, program, opts in bomb_attacks():
                # What a weaker mode changes is who watches memory.
                if flags == offered or 'processes' in name or 'memory' in name:
                    try_attack(name, program, opts)
        label = '[%s] ' % user
        degraded()
    finally:
        sibling.kill()
        sibling.wait()
        shutil.rmtree(scratch, True)
    print('1..%d' % count)
    print('# %d passed, %d failed' % (count - failed, failed))


main()
sys.exit(1 if failed else 0)
