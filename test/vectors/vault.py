#!/usr/bin/env python3
"""Recomputes the test vectors of the vault, sharing no code with theazo.

    vault.py docs/vault-vectors.txt

HMAC and SHA-256 are Python's, AES is the openssl program's, GCM is written out
below from NIST SP 800-38D. Every value of the file that is not an input is
computed from the inputs and compared; ends with 1 if one differs.
`vault.py --fill` prints the file with all of them filled in.
"""
import hashlib
import hmac
import subprocess
import sys

INPUTS = ('case', 'kind', 'master_key', 'platform', 'platform_salt', 'key_version', 'session', 'name', 'version',
          'record_salt', 'value')
DERIVED = ('fingerprint', 'owner_info', 'owner_key', 'record_info', 'record_key', 'nonce', 'associated_data',
           'ciphertext', 'tag', 'sealed')
LABEL = {'platform': b'theazo vault v1', 'operator': b'theazo operator v1'}


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_extract(salt, ikm):                        # RFC 5869, 2.2
    return mac(salt or bytes(32), ikm)


def hkdf_expand(prk, info, length):                 # RFC 5869, 2.3
    out = block = b''
    counter = 1
    while len(out) < length:
        block = mac(prk, block + info + bytes([counter]))
        out += block
        counter += 1
    return out[:length]


def aes(mode, key, data, *iv):
    return subprocess.run(['openssl', 'enc', '-aes-256-' + mode, '-K', key.hex(), '-nopad', *iv], input=data,
                          stdout=subprocess.PIPE, check=True).stdout


def ghash(h, data):                                 # SP 800-38D, 6.3 and 6.4
    h = int.from_bytes(h, 'big')
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], 'big')
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, 'big')


def gcm(key, nonce, aad, plain):                    # SP 800-38D, 7.1, nonces of 96 bits
    def pad(data):
        return data + bytes(-len(data) % 16)
    text = aes('ctr', key, plain, '-iv', (nonce + b'\0\0\0\2').hex())
    lengths = (8 * len(aad)).to_bytes(8, 'big') + (8 * len(text)).to_bytes(8, 'big')
    s = ghash(aes('ecb', key, bytes(16)), pad(aad) + pad(text) + lengths)
    mask = aes('ecb', key, nonce + b'\0\0\0\1')
    return text, bytes(a ^ b for a, b in zip(s, mask))


def u32(n):
    return int(n).to_bytes(4, 'big')


def counted(text):
    data = text.encode()
    return u32(len(data)) + data


def derive(c):
    master = bytes.fromhex(c['master_key'])
    salt = bytes.fromhex(c['record_salt'])
    d = {'fingerprint': hkdf_expand(hkdf_extract(b'', master), b'theazo key check v1', 8)}
    d['owner_info'] = LABEL[c['kind']] + counted(c['platform']) + u32(c['key_version'])
    d['owner_key'] = hkdf_expand(hkdf_extract(bytes.fromhex(c['platform_salt']), master), d['owner_info'], 32)
    d['record_info'] = b'theazo record v1' + salt
    d['record_key'] = hkdf_expand(d['owner_key'], d['record_info'], 32)
    d['nonce'] = salt[:12]
    d['associated_data'] = (b'\1' + counted(c['platform']) + counted(c['session']) + counted(c['name']) +
                            u32(c['version']))
    d['ciphertext'], d['tag'] = gcm(d['record_key'], d['nonce'], d['associated_data'], bytes.fromhex(c['value']))
    d['sealed'] = b'\1' + d['ciphertext'] + d['tag']
    return {k: v.hex() for k, v in d.items()}


def read(path):
    cases = []
    with open(path, encoding='utf-8') as f:
        for line in f:
            if line.startswith('#') or not line.strip():
                continue
            key, value = line.rstrip('\n').split(' =', 1)
            if key == 'case':
                cases.append({})
            cases[-1][key] = value[1:]
    return cases


def check_gcm():
    """NIST's example with 60 bytes and associated data (McGrew and Viega, test case 16)."""
    text, tag = gcm(bytes.fromhex('feffe9928665731c6d6a8f9467308308' * 2), bytes.fromhex('cafebabefacedbaddecaf888'),
                    bytes.fromhex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
                    bytes.fromhex('d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72'
                                  '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39'))
    return text.hex().startswith('522dc1f099567d07') and tag.hex() == '76fc6ece0f4e1768cddf8853bb2d551b'


def main():
    fill = sys.argv[1] == '--fill'
    cases = read(sys.argv[-1])
    wrong = 0 if check_gcm() else 1
    for c in cases:
        d = derive(c)
        if fill:
            print('\n'.join(f'{k} = {c[k]}'.rstrip() if k in c else f'{k} = {d[k]}' for k in INPUTS + DERIVED) + '\n')
            continue
        bad = [k for k in DERIVED if c.get(k) != d[k]]
        wrong += len(bad)
        print(f"{c['case']}: {'differs in ' + ', '.join(bad) if bad else f'{len(DERIVED)} values agree'}")
    return 1 if wrong or not cases else 0


if __name__ == '__main__':
    sys.exit(main())
