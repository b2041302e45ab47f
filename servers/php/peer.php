<?php

declare(strict_types=1);

/*
 * A PHP application in one process, driven by a test: it lives one session after the other, as PHP's session
 * extension runs them, with the rules of CodeIgniter around it.
 *
 * Started as `php peer.php '<options as JSON>'`. Each line on stdin is a request, each line on stdout an answer or
 * an event, all of them JSON objects. A request is a whole life of a session: start, operations, end.
 *
 * # Options
 *
 * | name               | default      | what |
 * |--------------------|--------------|------|
 * | driver             | needed       | `files`, `mysql`, `postgres`, `redis`, `memcached`: the class `FilesHandler`, … in `handlers/`; `native`: PHP's own handler by `save_handler` and `save_path` |
 * | handler            | {}           | options of the handler's class; `cookie_name`, `match_ip`, `lifetime` and `layout` are added |
 * | save_handler       | files        | `native`: PHP's `session.save_handler` |
 * | save_path          | ""           | `native`: PHP's `session.save_path` |
 * | layout             | ci4          | `ci4`, `ci3` or `php` (the last without any rule of CodeIgniter) |
 * | cookie_name        | ci_session   | (`PHPSESSID` with layout `php`) |
 * | lifetime           | 7200         | `expiration` in seconds; 0: until the browser closes |
 * | time_to_update     | 300          | age of an id, in seconds, after which a page gets another one; 0: never |
 * | regenerate_destroy | false        | whether that deletes the record of the id before |
 * | match_ip           | null         | the client's address, if it is a part of names |
 * | sid_length, sid_bits | 32, 4      | what ids look like |
 * | serialize_handler  | php          | PHP's `session.serialize_handler` |
 * | user_key           | user         | where `login` notes the user |
 * | ini                | {}           | more settings of PHP, by name |
 * | require            | []           | PHP files to load first, with classes of stored objects |
 *
 * # Requests
 *
 * `{"cookie": id or null, "ajax": false, "offset": 0, "events": false, "ops": [ {"op": "set", …}, … ]}`
 *
 * `offset` is added to the time that all rules go by, in seconds. With `events`, the lines `{"event":"starting"}`
 * and `{"event":"started"}` come before and after the session is started.
 *
 * | operation | fields | result |
 * |---|---|---|
 * | set | key, value | null |
 * | get, has, remove | key | the value; a bool; null |
 * | push | key, value (an array) | null |
 * | incr | key, by = 1, sleep_ms = 0 (between reading and writing) | the new value |
 * | flash, markflash, keepflash, unmarkflash, readflash | key, value | null; a bool; null; null; the value |
 * | temp, marktemp, unmarktemp, removetemp, readtemp | key, value, ttl = 300 | null; a bool; null; null; the value |
 * | flashkeys, tempkeys | | the keys |
 * | all | | what `get()` without a key returns |
 * | regenerate | destroy = false | the new id |
 * | login | user, destroy = false | the new id |
 * | logout | keep = false (take the user out and regenerate, instead of destroying) | null |
 * | whoami | | the user or null |
 * | id | | the present id |
 * | destroy, close | | null |
 * | dump | | `{"tagged": the whole session, "raw": base64 of the bytes as PHP would store them}` |
 * | sleep | ms | null |
 * | wait | | null, after the line `{"event":"waiting"}` and one line of any content on stdin |
 * | gc | | what PHP's collection returned |
 * | fail | | an exception: the rest of the operations is left out |
 *
 * A `value` is JSON: objects become arrays. What JSON can't say is `{"php": base64 of its serialize() form}`. A
 * value in a result is plain JSON if nothing is lost by that, else tagged as in `lib/tagged.php`.
 *
 * # Answers
 *
 * `{"id": id at the end or null, "set_cookie": header or null, "results": […], "errors": ["…"], "status": 200 or 500}`
 *
 * With layout `ci4` a warning is an exception, as in CodeIgniter 4, and leads to status 500; else it is noted only.
 */

require __DIR__ . '/lib/tagged.php';
require __DIR__ . '/lib/Request.php';
require __DIR__ . '/lib/Witness.php';
require __DIR__ . '/lib/StrictWitness.php';
require __DIR__ . '/lib/CodeIgniter.php';

ini_set('display_errors', 'stderr');
// Whatever is printed would count as the beginning of a response, and no session starts after that.
ob_start();

/** The time that all rules go by. */
function peer_time(?int $offset = null): int
{
    static $by = 0;
    $by = $offset ?? $by;
    return time() + $by;
}

/** Sends one line to the test. */
function peer_send(array $line): void
{
    $flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR;
    fwrite(STDOUT, json_encode($line, $flags | JSON_INVALID_UTF8_SUBSTITUTE) . "\n");
    fflush(STDOUT);
}

$options = json_decode($argv[1], true, 64, JSON_THROW_ON_ERROR) + [
    'handler' => [],
    'save_handler' => 'files',
    'save_path' => '',
    'layout' => 'ci4',
    'lifetime' => 7200,
    'time_to_update' => 300,
    'regenerate_destroy' => false,
    'match_ip' => null,
    'sid_length' => 32,
    'sid_bits' => 4,
    'serialize_handler' => 'php',
    'user_key' => 'user',
    'ini' => [],
    'require' => [],
];
$options += ['cookie_name' => $options['layout'] === 'php' ? 'PHPSESSID' : 'ci_session'];
foreach ($options['require'] as $file) {
    require $file;
}

$shared = array_intersect_key($options, array_flip(['cookie_name', 'match_ip', 'lifetime', 'layout']));
$witness = null;
if ($options['driver'] !== 'native') {
    $class = ucfirst($options['driver']) . 'Handler';
    require __DIR__ . "/handlers/$class.php";
    $handler = new $class($options['handler'] + $shared);
    $witness = $options['layout'] === 'ci3' ? new StrictWitness($handler) : new Witness($handler);
}

while (($line = fgets(STDIN)) !== false) {
    $request = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    peer_time((int) ($request['offset'] ?? 0));
    peer_send((new Request($options, $witness, $request))->run());
}
