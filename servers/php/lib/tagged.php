<?php

declare(strict_types=1);

/*
 * Values of PHP as JSON that keeps everything apart: types, bytes, floats to the bit, identity and references.
 *
 * {"t":"null"}  {"t":"bool","v":true}  {"t":"int","v":"5"}  {"t":"float","v":"0.1","bits":"3fb999999999999a"}
 * {"t":"string","v":"text"}  {"t":"string","b64":"/w=="}
 * {"t":"array","items":[[key, value], …]}
 * {"t":"object","n":1,"class":"stdClass","props":[[key, value], …]}  {"t":"object-seen","n":1}
 * {"t":"enum","class":"Suit","case":"Hearts"}
 * A value that is a PHP reference also has "ref": 1; where the same reference comes again: {"t":"ref-seen","n":1}.
 */

/** Returns a value with all that it is. */
function tagged(mixed &$value): array
{
    $seen = ['objects' => [], 'references' => []];
    return tagged_value($value, $seen);
}

function tagged_value(mixed &$value, array &$seen): array
{
    return match (true) {
        $value === null => ['t' => 'null'],
        is_bool($value) => ['t' => 'bool', 'v' => $value],
        is_int($value) => ['t' => 'int', 'v' => (string) $value],
        is_float($value) => ['t' => 'float', 'v' => var_export($value, true), 'bits' => bin2hex(pack('E', $value))],
        is_string($value) => tagged_string($value),
        is_array($value) => ['t' => 'array', 'items' => tagged_items($value, $seen)],
        $value instanceof UnitEnum => ['t' => 'enum', 'class' => $value::class, 'case' => $value->name],
        is_object($value) => tagged_object($value, $seen),
        default => ['t' => get_debug_type($value)],
    };
}

function tagged_string(string $value): array
{
    $text = preg_match('//u', $value) === 1;
    return $text ? ['t' => 'string', 'v' => $value] : ['t' => 'string', 'b64' => base64_encode($value)];
}

function tagged_items(array &$items, array &$seen): array
{
    $tagged = [];
    foreach (array_keys($items) as $key) {
        $reference = ReflectionReference::fromArrayElement($items, $key)?->getId();
        $name = is_int($key) ? ['t' => 'int', 'v' => (string) $key] : tagged_string($key);
        $number = $reference === null ? null : ($seen['references'][$reference] ?? null);
        if ($number !== null) {
            $tagged[] = [$name, ['t' => 'ref-seen', 'n' => $number]];
            continue;
        }
        if ($reference !== null) {
            $number = $seen['references'][$reference] = count($seen['references']) + 1;
        }
        $item = tagged_value($items[$key], $seen);
        $tagged[] = [$name, $reference === null ? $item : $item + ['ref' => $number]];
    }
    return $tagged;
}

function tagged_object(object $object, array &$seen): array
{
    $number = $seen['objects'][spl_object_id($object)] ?? null;
    if ($number !== null) {
        return ['t' => 'object-seen', 'n' => $number];
    }
    $number = $seen['objects'][spl_object_id($object)] = count($seen['objects']) + 1;
    $properties = (array) $object;
    $props = tagged_items($properties, $seen);
    return ['t' => 'object', 'n' => $number, 'class' => $object::class, 'props' => $props];
}

/** Returns a value as plain JSON if nothing is lost by that, else tagged. */
function plain_or_tagged(mixed $value): mixed
{
    return is_plain($value) ? $value : tagged($value);
}

function is_plain(mixed $value): bool
{
    return match (true) {
        $value === null, is_bool($value), is_int($value) => true,
        is_float($value) => is_finite($value),
        is_string($value) => preg_match('//u', $value) === 1,
        // As JSON an empty array is a list, and a key "t" would look like a tag.
        is_array($value) => (array_is_list($value) || !array_filter(array_keys($value), 'is_int'))
            && !isset($value['t'])
            && array_reduce($value, fn (bool $all, mixed $item) => $all && is_plain($item), true),
        default => false,
    };
}

/** Reads a value of a request. */
function value_of(mixed $value): mixed
{
    if (!is_array($value)) {
        return $value;
    }
    if (array_keys($value) === ['php']) {
        return unserialize(base64_decode($value['php'], true));
    }
    return array_map('value_of', $value);
}
