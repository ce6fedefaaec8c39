// Writes vectors.json: bodies, and what JavaScript makes of them when it sorts
// their keys as the vendor's page describes. Run it after a change:
//
//	node vectors.js > vectors.json
"use strict"

const sorted = value =>
  Array.isArray(value) ? value.map(sorted)
    : value !== null && typeof value === "object"
      ? Object.keys(value).sort().reduce((all, key) =>
        Object.defineProperty(all, key, { value: sorted(value[key]), enumerable: true, configurable: true, writable: true }), {})
      : value

const bodies = [
  // numbers
  ...["1.0", "1", "0", "-0", "-0.0", "0.0", "1.50", "100", "1e3", "1E3", "1e+3", "1e-3", "1.0e2", "-1.0", "1e0", "10e-1", "123e-2",
    "0.1", "0.10", "1e-6", "0.000001", "1e-7", "0.0000001", "1.5e-7", "1e20", "1e21", "123456789012345678901", "1234567890123456789012",
    "9007199254740991", "9007199254740992", "9007199254740993", "12345678901234567890", "-12345678901234567890", "0.30000000000000004",
    "0.1000000000000000055511151231257827", "5e-324", "2e-324", "4.9406564584124654e-324", "2.2250738585072014e-308", "1.7976931348623157e308",
    "1.7976931348623159e308", "1e309", "-1e309", "1e400", "1e-400", "-1e-400", "123456.7890", "3.14159265358979323846", "1e23", "9.5e-3",
    "4.35", "0.5e1", "1e21", "999999999999999900000", "999999999999999999999", "1e5000", "0e5000", "2.00", "19.90", "1e2147483648",
  ].map(n => `{"b":${n},"a":[${n}]}`),
  // keys
  `{"b":1,"a":2}`, `{"é":1,"z":2,"Z":3,"":4}`, `{"ﬁ":1,"😀":2}`, `{"\\ufb01":1,"\\ud83d\\ude00":2}`, `{"\\uffff":1,"\\ud800\\udc00":2,"\\ud7ff":3,"\\ue000":4}`,
  `{"𐀀":1,"｡":2,"z":3,"\\ud800":4,"\\udfff":5}`, `{"😀":{"😁":1,"｡":2},"a":[{"𝒳":1,"ﷺ":2}]}`,
  `{"10":1,"9":2,"a":3,"1":4}`, `{"b":0,"01":1,"1":2,"-1":3,"1.0":4,"0":5,"00":6,"1e1":7}`,
  `{"4294967294":1,"4294967295":2,"4294967296":3,"5":4,"9007199254740993":5}`, `{"2":{"11":1,"3":{"x":1,"20":2,"100":3}},"a":1}`,
  `{"a":1,"b":2,"a":3}`, `{"a":{"x":1},"a":{"y":2}}`, `{"\\u0061":1,"b":2,"a":3}`, `{"1":"x","a":0,"1":"y"}`,
  `{${Array.from({ length: 60 }, (_, i) => `"k${i % 4}":${i}`)}}`,
  `{"0a":1,"4294967294":2,"7":3}`, `{"0a":1,"4294967295":2,"7":3}`, `{"0a":1,"00":2,"7":3}`, `{"!":1,"0":2,"10000000000":3,"7":4}`,
  `{"constructor":1,"toString":2,"hasOwnProperty":3,"length":4,"valueOf":5}`, `{"b":1,"__proto__":{"x":1},"a":2}`, `{"__proto__":null,"A":1}`, `{"a":1,"__proto__":5}`,
  `{"a b":1,"a":2,"a!":3,"a,":4}`, `{"\\u0000":1,"\\u001f":2," ":3}`, `{"toJSON":"x","b":1}`,
  // text
  `{"b":"Grüße <&> \\u2028 \\u2029 \\ud83d\\ude00","a":"\\u0001\\b\\f\\n\\r\\t\\"\\\\\\/"}`, `{"b":"\\u007f\\u0080\\u00a0\\ufeff","a":"\\u000b\\u000B\\u001F"}`,
  `{"b":"\\ud800","a":"\\uDBFF"}`, `{"b":"\\udc00x","a":"x\\ud83d"}`, `{"b":"\\ud83d\\ud83d\\ude00\\ude00","a":"\\ude00\\ud83d"}`, `{"b":"\\ud83dé\\ude00","a":1}`,
  `{"b":"\\u00e9é","a":"e\\u0301"}`, `{"b":"\\u0027'\`","a":"\\u003c\\u003C/script>"}`, `{"b":"\u2028","a":"\u0080"}`,
  `{"b":"ĢŜĈĊČĉŢ","a":"\\u0122\\u225c\\u010a"}`,
  // shapes
  `{ "b" : [ 1.0 , 2 ],\n\t"a" : { } }\r\n`, `[]`, `{}`, `[ ]`, `"x"`, `"\\u0041"`, ` 1.0 `, `true`, ` null`, `[true,false,null,[],{}]`, `[[[{"b":[],"a":{}}]]]`,
  `{"type":"customer.created","payload":{"metadata":{"version":1.0},"b2b":{"companyRegistrationId":"x"},"accounts":["jo@example.com"],"active":true}}`,
]

// Random ones: numbers of every size, and keys from everywhere.
let seed = 12345
const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32
const digits = n => Array.from({ length: n }, () => Math.floor(random() * 10)).join("")
const number = () => {
  const whole = random() < 0.2 ? "0" : 1 + Math.floor(random() * 9) + digits(Math.floor(random() * 24))
  const part = random() < 0.5 ? "." + digits(1 + Math.floor(random() * 20)) : ""
  const power = random() < 0.5 ? "eE"[Math.floor(random() * 2)] + ["", "+", "-"][Math.floor(random() * 3)] + Math.floor(random() * (random() < 0.5 ? 30 : 340)) : ""
  return (random() < 0.3 ? "-" : "") + whole + part + power
}
const units = ["a", "A", "z", "0", "1", "9", " ", "é", "\\ud800", "\\udfff", "😀", "𐀀", "｡", "\\uffff", "\\u0000", "\\n", "\\u2028", "-", "."]
const text = () => Array.from({ length: Math.floor(random() * 4) }, () => units[Math.floor(random() * units.length)]).join("")
const anything = depth => {
  const kind = random() * (depth > 3 ? 3 : 5)
  if (kind < 1.5) return number()
  if (kind < 2.5) return `"${text()}"`
  if (kind < 3) return ["true", "false", "null"][Math.floor(random() * 3)]
  const some = Array.from({ length: Math.floor(random() * 5) })
  return kind < 3.5 ? `[${some.map(() => anything(depth + 1)).join(", ")}]`
    : `{${some.map(() => `"${random() < 0.3 ? Math.floor(random() * 2 ** (40 * random())) : text()}": ${anything(depth + 1)}`).join(", ")}}`
}
for (let i = 0; i < 400; i++) bodies.push(`{"v": ${number()}, "k": ${anything(0)}}`)

process.stdout.write("[\n" + bodies.map(sent => JSON.stringify({ sent, signed: JSON.stringify(sorted(JSON.parse(sent))) })).join(",\n") + "\n]\n")
