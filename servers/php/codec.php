<?php
// PHP itself as the judge of sessions: one request per line of JSON on stdin, one answer per line on
// stdout, bytes in base64. The serialize handler is fixed when the process starts, by `php -d`.
//
//   {"make": seed}                          a random session: {"bytes"}
//   {"decode": bytes}                       {"ok"}, and if so {"shape", "bytes": what PHP would store}
//   {"values": bytes, "readings": [..]}     {"same"}: are the readings what the session's keys hold?
//   {"join": bytes, "plan": [[key, doc|null]..], "result": bytes}
//                                           {"same"}: the session with only the keys of the plan, in that
//                                           order, each kept (null) or with the value of a document
//   {"value": document}                     {"bytes"}: serialize() of it, null if it can't be read

error_reporting(0);

class Point { public $x; protected $y = 1; private $z = [1]; }
class Farther extends Point { public $w; private $z = 2; }
enum Suit: string { case Hearts = 'H'; case Spades = 'S'; }
class Sealed implements Serializable
{
    public $inside = 'raw;{}';
    public function serialize() { return $this->inside; }
    public function unserialize($data) { $this->inside = $data; }
}

/** Sessions that are stored nowhere. */
class Nowhere implements SessionHandlerInterface
{
    public function open($path, $name): bool { return true; }
    public function close(): bool { return true; }
    public function read($id): string { return ''; }
    public function write($id, $data): bool { return true; }
    public function destroy($id): bool { return true; }
    public function gc($lifetime): int { return 0; }
}

/** Writes what a value is, with all types, objects' identities and references, so that equal values are equal text. */
class Shape
{
    private array $uses = [];
    private array $references = [];
    private array $objects = [];

    public static function of(array $session): string
    {
        $shape = new self();
        $shape->count($session);
        $shape->objects = [];
        return $shape->entries($session);
    }

    /** Counts how many places share each reference: one alone is none. */
    private function count(array $entries): void
    {
        foreach (array_keys($entries) as $key) {
            $id = ReflectionReference::fromArrayElement($entries, $key)?->getId();
            if ($id !== null && ($this->uses[$id] = ($this->uses[$id] ?? 0) + 1) > 1) {
                continue;
            }
            $value = $entries[$key];
            if (is_array($value)) {
                $this->count($value);
            } elseif (is_object($value) && !isset($this->objects[spl_object_id($value)])) {
                $this->objects[spl_object_id($value)] = true;
                $this->count(get_mangled_object_vars($value));
            }
        }
    }

    private function entries(array $entries): string
    {
        $text = '';
        foreach (array_keys($entries) as $key) {
            $text .= (is_int($key) ? "i$key" : 's' . base64_encode($key)) . '=';
            $id = ReflectionReference::fromArrayElement($entries, $key)?->getId();
            if ($id !== null && $this->uses[$id] > 1) {
                $number = $this->references[$id] ?? null;
                if ($number !== null) {
                    $text .= "&$number,";
                    continue;
                }
                $this->references[$id] = count($this->references) + 1;
                $text .= '&';
            }
            $text .= $this->value($entries[$key]) . ',';
        }
        return "[$text]";
    }

    private function value(mixed $value): string
    {
        if (is_array($value)) {
            return $this->entries($value);
        }
        if (!is_object($value)) {
            return is_string($value) ? 's' . base64_encode($value) : serialize($value);
        }
        $id = spl_object_id($value);
        if (isset($this->objects[$id])) {
            return 'same' . $this->objects[$id];
        }
        $this->objects[$id] = count($this->objects) + 1;
        if ($value instanceof UnitEnum) {
            return serialize($value);
        }
        return get_class($value) . $this->entries(get_mangled_object_vars($value));
    }
}

/** Makes random sessions. */
class Maker
{
    private array $places = [];
    private array $objects = [];
    private int $left = 40;

    public static function session(int $seed): array
    {
        mt_srand($seed);
        $maker = new self();
        $session = [];
        for ($key = mt_rand(0, 6); $key > 0; $key--) {
            $maker->fill($session, $maker->key(false), 0);
        }
        return $session;
    }

    private function key(bool $integers): int|string
    {
        $keys = ['a', 'b', 'user', '', 'key with space', "\xc3\xa9", '08', '-', 'x;y', "n\0l", '__ci_vars', "\xff"];
        return $integers && mt_rand(0, 2) ? mt_rand(-3, 9) : $keys[mt_rand(0, count($keys) - 1)];
    }

    private function fill(array &$in, int|string $key, int $depth): void
    {
        if ($this->places && mt_rand(0, 5) === 0) {
            $in[$key] = &$this->places[mt_rand(0, count($this->places) - 1)];
            return;
        }
        unset($in[$key]);
        $in[$key] = null;
        if (mt_rand(0, 1)) {
            $this->places[] = &$in[$key];
        }
        $this->left--;
        $what = $this->left > 0 && $depth < 5 ? mt_rand(0, 11) : mt_rand(0, 6);
        if ($what <= 6) {
            $in[$key] = $this->plain($what);
        } elseif ($what <= 8) {
            $this->array($in[$key], $depth);
        } elseif ($what === 9 && $this->objects) {
            $in[$key] = $this->objects[mt_rand(0, count($this->objects) - 1)];
        } else {
            $this->object($in[$key], $depth);
        }
    }

    private function plain(int $what): mixed
    {
        return match ($what) {
            0 => null,
            1 => (bool) mt_rand(0, 1),
            2 => mt_rand(-5, 5),
            3 => mt_rand() * (mt_rand(0, 1) ? 1 : -4294967296),
            4 => [0.1, -0.0, 1e25, 1.5e-9, INF, -INF, NAN, mt_rand() / 7][mt_rand(0, 7)],
            5 => str_repeat("q\"|;\xff", mt_rand(0, 4)),
            6 => ['r:1;', 'R:2;', 'text', '}', 'i:1;'][mt_rand(0, 4)],
        };
    }

    private function array(mixed &$into, int $depth): void
    {
        $into = [];
        $list = mt_rand(0, 1);
        for ($left = mt_rand(0, 4), $at = 0; $left > 0; $left--) {
            $this->fill($into, $list ? $at++ : $this->key(true), $depth + 1);
        }
    }

    private function object(mixed &$into, int $depth): void
    {
        $kind = mt_rand(0, 12);
        if ($kind === 0) {
            $into = mt_rand(0, 1) ? Suit::Hearts : Suit::Spades;
        } elseif ($kind === 1) {
            $into = new Sealed();
        } else {
            $into = match (intdiv($kind, 3)) {
                1 => new Point(),
                2 => new Farther(),
                3 => unserialize('O:7:"Missing":0:{}'),
                default => new stdClass(),
            };
        }
        $this->objects[] = $object = $into;
        if ($object instanceof UnitEnum || $object instanceof Sealed || $object instanceof __PHP_Incomplete_Class) {
            return;
        }
        $properties = [];
        for ($left = mt_rand(0, 3); $left > 0; $left--) {
            $this->fill($properties, ['x', 'w', 'y7', 'é'][mt_rand(0, 3)], $depth + 1);
        }
        foreach (array_keys($properties) as $name) {
            $object->$name = &$properties[$name];
        }
    }
}

function decoded(string $bytes): ?array
{
    if (session_status() !== PHP_SESSION_ACTIVE) {
        session_start();
    }
    $_SESSION = [];
    try {
        $ok = session_decode($bytes);
    } catch (Throwable) {
        $ok = false;
    }
    if (!$ok || session_status() !== PHP_SESSION_ACTIVE || !is_array($_SESSION)) {
        return null;
    }
    // A copy, without a reference to the session's own variable.
    $session = [];
    foreach (array_keys($_SESSION) as $key) {
        $session[$key] = &$_SESSION[$key];
    }
    return $session;
}

function encoded(array $session): string
{
    if (session_status() !== PHP_SESSION_ACTIVE) {
        session_start();
    }
    $_SESSION = $session;
    return (string) session_encode();
}

function answer(array $request): array
{
    if (isset($request['make'])) {
        return ['bytes' => base64_encode(encoded(Maker::session($request['make'])))];
    }
    if (isset($request['value'])) {
        $document = base64_decode($request['value']);
        $value = unserialize($document);
        $read = $value !== false || $document === 'b:0;';
        return ['bytes' => $read ? base64_encode(serialize($value)) : null];
    }
    if (isset($request['decode'])) {
        $session = decoded(base64_decode($request['decode']));
        if ($session === null) {
            return ['ok' => false];
        }
        return ['ok' => true, 'shape' => Shape::of($session), 'bytes' => base64_encode(encoded($session))];
    }
    if (isset($request['values'])) {
        $session = decoded(base64_decode($request['values']));
        foreach ($request['readings'] as [$key, $reading]) {
            $reading = base64_decode($reading);
            // `unserialize()` loses a reference to the value itself; a session of one key does not.
            $alone = ini_get('session.serialize_handler') === 'php';
            $read = $alone ? decoded("k|$reading") : ['k' => unserialize($reading)];
            $held = ['k' => &$session[base64_decode($key)]];
            if (Shape::of($read) !== Shape::of($held)) {
                return ['same' => false, 'wanted' => Shape::of($held), 'got' => Shape::of($read)];
            }
        }
        return ['same' => $session !== null];
    }
    $session = decoded(base64_decode($request['join']));
    $wanted = [];
    foreach ($request['plan'] as [$key, $document]) {
        $key = base64_decode($key);
        if ($document === null) {
            $wanted[$key] = &$session[$key];
        } else {
            $wanted[$key] = unserialize(base64_decode($document));
        }
    }
    $wanted = Shape::of($wanted);
    $result = decoded(base64_decode($request['result']));
    $got = $result === null ? null : Shape::of($result);
    return ['same' => $got === $wanted, 'wanted' => $wanted, 'got' => $got];
}

session_set_save_handler(new Nowhere(), false);
session_start();
while (($line = fgets(STDIN)) !== false) {
    echo json_encode(answer(json_decode($line, true))), "\n";
}
