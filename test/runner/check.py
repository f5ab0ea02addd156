#!/usr/bin/env python3
"""The program that runs agents' code, tried for real, as TAP.

	check.py DIRECTORY [js | walls | protocol | life ... | jsc]

DIRECTORY holds what run.sh has built: runnercli, theazo-runner, sysrunner (the
same program with an engine that makes system calls), stub (a hostile one), nons.
"""
import concurrent.futures
import glob
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from hostile import DONE, HOSTILE, head  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DIR = os.path.abspath(sys.argv[1])
# What a hostile program may say is the same for every user.
PARTS = sys.argv[2:] or ['js', 'walls', 'life'] + ([] if os.geteuid() == 0 else ['protocol'])
CLI, RUNNER, SYS, STUB, NONS = (os.path.join(DIR, n) for n in ('runnercli', 'theazo-runner', 'sysrunner', 'stub', 'nons'))
count = failed = 0
label = ''
# Of the lists: "--- jsc: ..." says what the system's engine does where that differs.
engine = 'quickjs'


def ok(good, name, why=''):
    global count, failed
    count += 1
    print('%s %d - %s%s' % ('ok' if good else 'not ok', count, label, name.replace('#', '')), flush=True)
    if not good:
        failed += 1
        for line in str(why).splitlines()[:30]:
            print('#   ' + line[:600])


def cli(*args, runner=None, stdin='', wrap=(), opts=(), timeout=120, preexec=None):
    p = subprocess.run(list(wrap) + [CLI, '--runner', runner or RUNNER] + list(opts) + list(args), input=stdin.encode(),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, preexec_fn=preexec)
    return p.stdout.decode('utf-8', 'replace')


def answers(out):
    return [json.loads(line) for line in out.splitlines() if line.startswith('{')]


def batch(jobs, **kw):
    out = cli('batch', stdin=''.join(json.dumps(j) + '\n' for j in jobs), **kw)
    got = answers(out)
    return got + [{'end': 'no answer', 'out': out[-500:]}] * (len(jobs) - len(got))


# --- JavaScript -----------------------------------------------------------------

def cases(path):
    """Cases of a file: (name, job, expectations)."""
    found = []
    text = open(path, encoding='utf-8').read()
    for block in re.split(r'^=== ', text, flags=re.M)[1:]:
        head, rest = block.split('\n', 1)
        name, _, options = head.partition(' | ')
        lines = rest.split('\n')
        code, want = [], []
        for line in lines:
            if line.startswith('--- '):
                want.append(line[4:])
            elif not want:
                code.append(line)
        own = [w[5:] for w in want if w.startswith('jsc: ')]
        want = [w for w in want if not w.startswith('jsc: ')]
        if engine == 'jsc' and own:
            want = [w for w in want if w.startswith('code ')] + own
        job = {'code': '\n'.join(code).rstrip('\n')}
        m = re.search(r'input=(.*)$', options)
        if m:
            job['input'] = json.loads(m.group(1))
            options = options[:m.start()]
        for o in options.split():
            k, v = o.split('=')
            job[k] = int(v)
        if want and want[0].startswith('code '):
            job['code'] = eval(want.pop(0)[5:].replace("'.repeat(1e5)", "' * 100000"))
        found.append((name.strip(), job, want))
    return found


def threw(text, got):
    if not text:
        return True
    name, _, message = text.partition(': ')
    m = re.match(r'^(.)\*(\d+)$', message)
    if m:
        message = m.group(1) * int(m.group(2))
    return got.get('name') == name and got.get('message') == message


def one(want, got):
    """Whether one line of what is wanted holds."""
    word, _, rest = want.partition(' ')
    if word == 'returned':
        return got['end'] == 'returned' and (got.get('value', '') == rest or
                                             got.get('value', '') in (rest.split(' ') if rest.count('"') > 2 else ()))
    if word == 'threw' and rest.split(' ')[0] not in ('memory', 'time', 'returned'):
        return got['end'] == 'threw' and threw(rest, got)
    if word == 'ncalls':
        return got['ncalls'] == int(rest)
    if word == 'stack':
        return rest in got.get('stack', '')
    if word == 'nostack':
        return rest not in got.get('stack', '')
    return got['end'] in want.split(' ')


def held(want, got):
    logs = [w[4:] for w in want if w.startswith('log ')]
    calls = [w[5:] for w in want if w.startswith('call ')]
    rest = [w for w in want if not w.startswith(('log ', 'call '))]
    if not all(one(w, got) for w in rest):
        return False
    have = ['%s %s' % (a, b) for a, b in got.get('logs', [])]
    if logs and not (len(have) == len(logs) and all(h == w or (w.endswith('+') and h.startswith(w[:-1]))
                                                    for h, w in zip(have, logs))):
        return False
    return not calls or calls == ['%s %s' % (a, b) for a, b in got.get('calls', [])]


def within(job, got):
    """No more memory than the ceiling and what the program itself needs; no processor time beyond the deadline."""
    beside = 16 if engine == 'quickjs' else 64
    return (got.get('rss_kb', 0) <= (job.get('memory', 128) + beside) * 1024 and
            got.get('cpu_us', 0) <= job.get('time', 10000) * 1000 + 1000000)


def js_answers(path, wrap):
    found = cases(path)
    return path, found, batch([c[1] for c in found], wrap=wrap)


def js():
    """Every list in both modes, two at a time: most of it is waiting for deadlines."""
    global label
    files = sorted(glob.glob(os.path.join(HERE, 'js', '*.txt')), key=lambda f: 'limits' not in f)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        todo = [(mode, pool.submit(js_answers, f, wrap))
                for f in files for mode, wrap in (('', ()), ('without namespaces: ', (NONS, 'namespaces')))]
        for label, answer in todo:
            path, found, got = answer.result()
            for (name, job, want), g in zip(found, got):
                ok(bool(want) and held(want, g) and within(job, g), '%s: %s' % (os.path.basename(path)[:-4], name),
                   'wanted %s\ngot %s' % (want, json.dumps(g, ensure_ascii=False)))
    label = ''


def jsc():
    """The same lists, with the engine of the system."""
    global engine
    engine = 'jsc'
    js()


# --- walls ----------------------------------------------------------------------

X86 = os.uname().machine == 'x86_64'
# Numbers that survive with all arguments zero; read and write do with the run's socket only.
ALLOWED = {10, 11, 12, 15, 25, 60, 228, 231, 318} if X86 else {93, 94, 113, 139, 214, 215, 216, 226, 278}
# Exempt from filters in the kernel itself: they only ever return from a probe's trampoline.
EXEMPT = {335, 336} if X86 else set()
NR = dict(read=0, write=1, mmap=9, mprotect=10, clone=56, getpid=39, prctl=157, seccomp=317, time=228) if X86 else \
    dict(read=63, write=64, mmap=222, mprotect=226, clone=220, getpid=172, prctl=167, seccomp=277, time=113)


def killed(got):
    return got['end'] == 'fault' and got.get('status', 0) & 0x7f == signal.SIGSYS


def walls_numbers(wrap):
    numbers = list(range(501))
    got = batch([{'code': '%d' % n} for n in numbers], runner=SYS, wrap=wrap, opts=['--spares', '4'])
    wrong = ['%d: %s' % (n, json.dumps(g)) for n, g in zip(numbers, got)
             if n not in EXEMPT and killed(g) != (n not in ALLOWED)]
    ok(not wrong, 'system calls 0 to 500: all but nine are deadly', '\n'.join(wrong))


def walls_arguments(wrap):
    n = NR
    dead = {
        'read from another descriptor': '%d 0 p 1' % n['read'],
        'write to another descriptor': '%d 1 p 1' % n['write'],
        'executable memory': '%d 0 4096 7 0x22 -1 0' % n['mmap'],
        'shared memory': '%d 0 4096 3 0x21 -1 0' % n['mmap'],
        'memory that is shared after all': '%d 0 4096 3 0x23 -1 0' % n['mmap'],
        'memory that counts as a stack': '%d 0 4096 3 0x122 -1 0' % n['mmap'],
        'memory of huge pages': '%d 0 4096 3 0x40022 -1 0' % n['mmap'],
        'memory of a file': '%d 0 4096 3 0x02 3 0' % n['mmap'],
        'memory made executable': '%d p 4096 5' % n['mprotect'],
        'a process': '%d 17 0 0 0 0' % n['clone'],
        'a thread': '%d 0x50f00 p 0 0 0' % n['clone'],
        'a user namespace': '%d 0x10000011 0 0 0 0' % n['clone'],
        'to be dumpable': '%d 4 1' % n['prctl'],
        'a filter of its own': '%d 1 0 p' % n['seccomp'],
    }
    if X86:
        dead['a number of the x32 kind'] = '%d' % (0x40000000 + 228)
        dead['write as x32'] = '%d 3 p 1' % 0x40000001
        dead['the 32-bit entry'] = 'int80 20'
        dead['exit by the 32-bit entry'] = 'int80 1'
    got = batch([{'code': c} for c in dead.values()], runner=SYS, wrap=wrap)
    for (name, code), g in zip(dead.items(), got):
        ok(killed(g), 'deadly: ' + name, code + ' ' + json.dumps(g))
    alive = {'memory of its own': '%d 0 4096 3 0x22 -1 0' % n['mmap'], 'the clock': '%d 0 p' % n['time']}
    for (name, code), g in zip(alive.items(), batch([{'code': c} for c in alive.values()], runner=SYS, wrap=wrap)):
        ok(g['end'] == 'returned', 'allowed: ' + name, json.dumps(g))
    for code in ('deep', 'wild'):
        g = batch([{'code': code}], runner=SYS, wrap=wrap)[0]
        ok(g['end'] == 'fault' and 'wall' in g.get('fault', ''), 'a fault says so: ' + code, json.dumps(g))


def field(pid, name):
    try:
        m = re.search(r'^%s:\s*(.*)$' % name, open('/proc/%d/status' % pid).read(), re.M)
        return m.group(1) if m else ''
    except OSError:
        return ''


def below(pid):
    """Descendants of a process."""
    kids = {}
    for d in os.listdir('/proc'):
        if d.isdigit():
            ppid = field(int(d), 'PPid')
            if ppid:
                kids.setdefault(int(ppid), []).append(int(d))
    found, todo = [], [pid]
    while todo:
        more = kids.get(todo.pop(), [])
        found += more
        todo += more
    return found


def until(condition, seconds=30):
    end = time.time() + seconds
    while time.time() < end:
        got = condition()
        if got:
            return got
        time.sleep(0.01)
    return condition()


def started(jobs, wrap=(), opts=('--spares', '0'), runner=None):
    """runnercli with jobs, and its processes once the first job runs."""
    p = subprocess.Popen(list(wrap) + [CLI, '--runner', runner or RUNNER] + list(opts) + ['batch'], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for j in jobs:
        p.stdin.write((json.dumps(j) + '\n').encode())
    p.stdin.flush()
    return p


NEVER = {'code': "await thetazero.read_context('never')", 'time': 60000}


def children(p):
    """The runs: processes with nothing below, under the filter twice."""
    mine = int(field(p.pid, 'Seccomp_filters') or 0)
    return [c for c in below(p.pid) if not below(c) and field(c, 'Seccomp_filters') == str(mine + 2)]


def walls_process(wrap, full):
    p = started([NEVER], wrap)
    kids = until(lambda: children(p))
    ok(len(kids) == 1, 'one process for one run', kids)
    for pid in kids[:1]:
        for name, want in (('Seccomp', '2'), ('NoNewPrivs', '1'), ('CapPrm', '0' * 16), ('CapEff', '0' * 16), ('CapInh', '0' * 16)):
            ok(field(pid, name) == want, '%s is %s' % (name, want), field(pid, name))
        ok(not full or field(pid, 'CapBnd') == '0' * 16, 'no capability can be had', field(pid, 'CapBnd'))
        ok(field(pid, 'Uid').split()[0] != '0', 'it is not root', field(pid, 'Uid'))
        ok(not full or len(field(pid, 'NSpid').split()) > len(field(p.pid, 'NSpid').split()), 'a pid namespace of its own', field(pid, 'NSpid'))
        ok(field(pid, 'Threads') == '1', 'one thread')
        limits = open('/proc/%d/limits' % pid).read()
        want = ((r'Max core file size\s+0 ', 'core'), (r'Max file size\s+0 ', 'files'), (r'Max open files\s+4 ', 'descriptors'),
                (r'Max data size\s+%d ' % ((128 + 24) << 20), 'data'), (r'Max cpu time\s+65 ', 'processor'))
        for pattern, name in want:
            ok(re.search(pattern, limits), 'limit on ' + name, limits)
        if os.geteuid() == 0:
            ok(sorted(os.listdir('/proc/%d/fd' % pid)) == ['0', '1', '2', '3'], 'four descriptors')
            seen = os.listdir(os.path.join('/proc', str(pid), 'root', ''))
            ok(not full or seen == [], 'nothing in its root', seen[:5])
            if full:
                net = open('/proc/%d/net/dev' % pid).read().splitlines()
                ok(len(net) == 3 and 'lo:' in net[2], 'no network', net)
        else:
            try:
                open('/proc/%d/mem' % pid, 'rb').close()
                ok(False, 'its memory is closed to its user')
            except OSError:
                ok(True, 'its memory is closed to its user')
    p.kill()
    p.communicate()


def walls():
    global label
    info = cli('info')
    for wrap, full in (((), 'mode: full' in info), ((NONS, 'namespaces'), False)):
        label = 'without namespaces: ' if wrap else ''
        walls_numbers(wrap)
        walls_arguments(wrap)
        walls_process(wrap, full)
    label = ''
    ok('mode: full' in info and info.count(': yes') == 10, 'all walls stand here', info)
    for wrap, mode in (((), 'full'), ((NONS, 'namespaces'), 'seccomp'), ((NONS, 'seccomp'), 'none')):
        out = json.loads(subprocess.run(list(wrap) + [RUNNER, '--probe'], stdout=subprocess.PIPE).stdout)
        ok(out['mode'] == mode and (mode == 'none' or out['seccomp'] is True and (out['user'] is True) == (mode == 'full')),
           'the probe says ' + mode, out)
    info = cli('info', wrap=(NONS, 'namespaces'))
    ok('mode: seccomp' in info and 'user namespace: Operation not permitted' in info, 'what is refused is told', info)
    info = cli('info', wrap=(NONS, 'seccomp'))
    ok('mode: none' in info and 'hint: ' in info, 'nothing runs without a filter', info)
    g = batch([{'code': 'return 1'}], wrap=(NONS, 'seccomp'))[0]
    ok(g['end'] in ('lost', 'refused'), 'no code runs without a filter', json.dumps(g))


# --- protocol: a hostile program --------------------------------------------------

def protocol():
    jobs = [{'code': '\n'.join(lines), 'time': 5000} for _, lines, _, _ in HOSTILE]
    for spares in ('0', '2'):
        for (name, _, end, fault), g in zip(HOSTILE, batch(jobs, runner=STUB, opts=['--spares', spares])):
            ok(g['end'] == end and (fault is None or fault in g.get('fault', '')), 'hostile, %s spares: %s' % (spares, name), json.dumps(g)[:800])
    slow = [('never speaks', 'wait 1200', 'time'), ('one byte now and then', 'slow ' + (head(200, 16) + '20' * 60), 'time'),
            ('never reads', 'times 8 17 1 \x0cread_context["large"]\nwait 3000', 'time')]
    for (name, code, end), g in zip(slow, batch([{'code': c, 'time': 300} for _, c, _ in slow], runner=STUB)):
        ok(g['end'] == end, 'hostile: ' + name, json.dumps(g)[:500])
    g = batch([{'code': 'times 20 17 1 \x0cread_context["large"]\nwait 30000', 'time': 3000}], runner=STUB)[0]
    ok(g['end'] == 'time' and g['unread'] == 12, 'what is never read is not kept beyond its bound', json.dumps(g)[:500])
    g = batch([{'code': 'die'}, {'code': DONE}], runner=STUB)
    ok([x['end'] for x in g] == ['lost', 'returned'] and g[0]['begun'], 'the zygote dies, the next run has a new one', json.dumps(g))
    global CLI
    real, CLI = CLI, os.path.join(DIR, 'quickcli')
    g = batch([{'code': DONE + '\nmute'}, {'code': 'mute'}, {'code': DONE}], runner=STUB)
    ok([x['end'] for x in g] == ['returned', 'fault', 'returned'], 'a zygote that does not report ends', json.dumps(g))
    for kind in ('version', 'nowall', 'silent', 'garbage', 'long', 'twice'):
        path = os.path.join(DIR, 'stub-' + kind)
        subprocess.run(['cp', STUB, path], check=True)
        g = batch([{'code': DONE}, {'code': DONE}], runner=path)
        ok(g[0]['end'] in ('lost', 'refused') and g[0].get('error'), 'a program that is not ours: ' + kind, json.dumps(g))
    CLI = real
    path = os.path.join(DIR, 'stub-early')
    subprocess.run(['cp', STUB, path], check=True)
    g = batch([{'code': DONE}] * 3, runner=path, opts=['--spares', '1'])
    ok(all(x['end'] in ('returned', 'fault') for x in g), 'a result before there is work', json.dumps(g))


# --- life ----------------------------------------------------------------------------

def gone(pids):
    return until(lambda: not [p for p in pids if field(p, 'State') and not field(p, 'State').startswith(('Z', 'X'))], 15)


def life():
    for name, code in (('spins', 'for (;;);'), ('waits', NEVER['code']), ('writes', "for (;;) try { thetazero.log('x'.repeat(1000)) } catch {}")):
        for wrap in ((), (NONS, 'namespaces')):
            p = started([{'code': code, 'time': 60000}], wrap, ('--spares', '2'))
            until(lambda: len(children(p)) == 3)
            pids = below(p.pid)
            p.kill()
            p.communicate()
            ok(len(pids) >= 4 and gone(pids), 'nothing outlives its parent: %s%s' % (name, ', without namespaces' if wrap else ''), pids)
    for who in ('zygote', 'first', 'child'):
        p = started([NEVER, {'code': 'return 1'}])
        kids = until(lambda: children(p))
        victim = kids[0] if who == 'child' else int(field(kids[0], 'PPid'))
        if who == 'first':
            victim = int(field(victim, 'PPid'))
        os.kill(victim, signal.SIGKILL)
        out = answers(p.communicate(timeout=60)[0].decode())
        want = ['fault', 'returned'] if who == 'child' else ['lost', 'returned']
        ok([x['end'] for x in out] == want and out[0]['begun'], 'killed: ' + who, json.dumps(out))
    out = answers(cli('many', '16', stdin="let n = 0; for (let i = 0; i < 1e5; i++) n += i; return await thetazero.read_context('x')"))
    ok(len(out) == 16 and all(x['end'] == 'returned' for x in out), '16 at once', out[:2])
    out = answers(cli('many', '40', opts=('--max', '8'), stdin='return 1'))
    ok([x['end'] for x in out].count('refused') == 32, 'no more at once than allowed', out[:1])
    soak()
    for path in ('/nonexistent/theazo-runner', DIR, os.path.join(HERE, 'check.py'), '/dev/null'):
        g = batch([{'code': 'return 1'}] * 2, runner=path)
        ok(all(x['end'] == 'refused' and 'could not start' in x['error'] and x['hint'] for x in g),
           'no program: ' + os.path.basename(path).replace('runner-', 'directory-'), json.dumps(g))
    plain = os.path.join(DIR, 'plain')
    subprocess.run(['cp', RUNNER, plain], check=True)
    os.chmod(plain, 0o644)
    g = batch([{'code': 'return 1'}], runner=plain)[0]
    ok(g['end'] == 'refused', 'a program that may not be executed', json.dumps(g))
    g = batch([{'code': 'return 1'}] * 3, opts=('--spares', '2'), preexec=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7)))
    ok(all(x['end'] in ('refused', 'returned') for x in g), 'out of descriptors', json.dumps(g))
    if os.geteuid() != 0:
        g = batch([{'code': 'return 1'}] * 2, preexec=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)))
        ok(all(x['end'] in ('refused', 'lost') and x['error'] for x in g), 'no processes may be made', json.dumps(g))


def soak():
    """A thousand runs: neither descriptors nor memory grow."""
    p = started([], opts=('--spares', '2'))

    def some(n):
        for i in range(n):
            p.stdin.write((json.dumps({'code': "thetazero.log('x'); return await thetazero.read_context('k')"}) + '\n').encode())
            p.stdin.flush()
            json.loads(p.stdout.readline())
        zygote = until(lambda: [int(field(c, 'PPid')) for c in children(p)])[0]
        until(lambda: len(children(p)) == 2)
        return len(os.listdir('/proc/%d/fd' % p.pid)), int(field(p.pid, 'VmRSS').split()[0]), int(field(zygote, 'VmRSS').split()[0])

    before = some(100)
    after = some(900)
    kids = children(p)
    ok(after[0] == before[0], 'a thousand runs: the same descriptors', (before, after))
    ok(after[1] < before[1] + 1024 and after[2] < before[2] + 512, 'a thousand runs: no more memory', (before, after))
    ok(len(kids) == 2, 'two spares', kids)
    if os.geteuid() == 0:
        own = []
        for pid in kids:
            m = re.findall(r'^(?:Private_\w+|Pss_Anon):\s+(\d+)', open('/proc/%d/smaps_rollup' % pid).read(), re.M)
            own.append(sum(int(x) for x in m))
        ok(own and max(own) < 4096, 'a spare is smaller than 4 MiB', own)
        print('# private memory of spares: %s kB' % own)
    p.stdin.close()
    p.wait()


def main():
    for part in PARTS:
        globals()[part]()
    print('1..%d' % count)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
