package transport

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ordinary are the words that a server's own sentences consist of. A secret that
// is one of them can't be cut out of such a sentence: the gap would tell it.
//
//nolint:misspell // servers write American English
var ordinary = setOf(`
	a about access account accounts action active activate activated activation add added address addresses admin administrator after again all allowed already
	also an and another any api are as at attempt attempts auth authentication authorization authorized authorize available bad be bearer because been before
	between blocked body both but by can cannot case change changed character characters check client code combination company conditions conflict connection contact
	contain contains could country create created credential credentials currency current currently customer customers data date day days default delete deleted denied detail
	details did different digit digits disabled do does done double duplicate each either email emails empty enabled end entity error errors every exceeded exist
	existing exists expected expire expired expires external failed failure field fields first for forbidden format found from gateway given grant group had has have header
	held hold host hour hours id identifier if ill in inactive incorrect information input integer internal into invalid is issue it its key known language last least legal length letter letters
	limit list locale locked log logged login logout long longer lower lowercase mail malformed many match matches maximum may media message method metadata minimum minute minutes
	missing mixin mixins more most must name names need needed new no none not null number numbers object of off old on once one only open operation optional or
	other our out over page parameter parameters parse part password passwords patch path payload pending permission permissions phone please policy post private problem processed profile property
	provide provided provider public query quota rate read reason received refresh refused registered registration rejected remove removed repeat request requested requests require required
	requires reset resource response restricted result retry right role same scope scopes second seconds secret security see send sent server service session set shop short should sign
	signup site size social some something soon special state status store string strong subject success successful successfully supported symbol symbols system tag tags temporarily tenant test than that the their
	them then there these they this time timeout to token tokens too try type unable unauthorized unavailable unexpected unknown unprocessable unsupported until up update updated upper uppercase url
	use used user username users valid validation value values verification verified verify version was way weak were what when where which while wide will with within without word words
	wrong yes yet you your zip
	able above accept acceptable accepted accepting according accurate across action act actual actually ago ahead almost alone along alphanumeric already although always among amount anonymous answer anyone anything
	app appear appears apply approved archived argument around ask assigned associated assume attached attempted attribute audience authenticated automatically average away back backend based basic become began begin
	behalf being below best better big bit block book bound box broken browser build business button buy call called came captcha car care cart catalog cause caused center central certain certificate chance changing
	channel charge checked checking choose chosen claim class clear clicked close closed codes come comes coming command comment common compare complete completed config configuration configured confirm confirmation
	confirmed connect connected consecutive consider constraint consumer container content continue control copy correct correctly corrupt cost count couldn couldn course cover creating creation criteria cross custom
	daily database deactivated dead deal decode decided deep default defined delay deletion deliver delivery department depends describe description destination detected developer device didn differ direct directly
	directory disallowed discount display doesn doing domain don done door down draft drop due during early easy edit effect eight eighth elapsed else employee empty enable encoded encoding encountered enough ensure
	enter entered entry environment equal especially essential ever everyone everything exact exactly example except exception excluded execute executed existence expiration expiry explicit export extended extra
	extract face fact fail fails false family far fast fatal feature feel few file filled filter final finally find fine finish fixed flag follow following follows force formatted former forward four frequently full
	fully function further future general generally generated generation generic get gets getting give gives global goes going gone good greater guest guessed handle handled happen happened happens hard hash having
	head help helpful here hidden high higher hint history home hope however http https human identical identified identify identity ids ignored illegal image immediately implemented important impossible include
	included includes including incoming increase indicated individual inform inner inserted inside instead instance instruction insufficient intended interaction interface interval invalidated invitation invited
	issued item items itself job join json just keep kept kind knew know label lack large last late later latest leading least leave left less let level like likely line link linked list little live load local location
	logging longest look looks lost lot low made main maintenance make makes making manage manager mandatory manual mark marked market matched matching mean means member memory mentioned merged might minimal mismatch mistake
	mobile mode model modified modify moment money month months moved much multiple mutual myself native nearly necessary negative neither network never newer next nine nobody node nor normal note nothing notice
	notification now object obtained occur occurred occurs offline offset often okay older omitted onto opened option optional options order ordinary organization origin original otherwise outdated outside over
	overloaded own owner package paid pair partial partner passphrase past pattern paused people per perform performed perhaps period person personal place plain platform point position positive possible possibly
	posted preferred present prevented previous previously price primary print prior private process processing product production profile program progress prohibited project protected proved purchase purpose put
	quality question quick quickly quite raised random range rather raw reach reached reading ready real really recent recently recognized record recover recovery redirect reduce refer reference regard region register
	related relation release reload remain remaining remember reminder replace replaced reply report represent reserved resend resent resolve resolved respond rest restart restore restriction retrieve retrying return
	returned returns reuse reused review revoke revoked right rights role roles root route row rule rules run running runtime safe sales save saved say says scheme screen search second section select selected self
	sending sense sensitive separate sequence serious serve services sessions setting settings seven several share shared shipping shopping shortly show shown side signature signed simple simply since single six skip
	slow small smaller solution someone something sometimes sorry sort source space spaces special specific specified staff stage standard start started starting state stay step still stop stopped storage stored
	storefront story street strength strict structure style submit submitted subscription success such suddenly suggest suitable sum summary supplied supplier support sure suspended suspicious switch sync syntax
	table take taken takes target team technical tell temporary ten term terms text thank thanks themselves thing things think third those though three threshold through throughout throttled times title today together
	tomorrow tomorrow top total touch track traffic transaction transfer tried trouble true truly trusted trying turn turned twice two types typo unacceptable unable unauthenticated under undefined understand unfortunately
	unique unit unless unlock unlocked unrecognized unsafe unset unsuccessful unusual updating uploaded upon uses using usual usually utility valued various very via video view visible visit visitor void wait waiting
	want warning warn wasn watch ways website week weeks weren whether whole whose why window wish won wording work works world worse worst would wouldn write written year years yesterday zero zone`)

// fieldNames are the ordinary words that a server quotes to name a field.
var fieldNames = setOf(`password passwords email token code name id type status field site key secret user username customer address company
	country phone language currency metadata mixins version tags query body header scope`)

func setOf(list string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(list) {
		set[word] = true
	}
	return set
}

// isOwnWord reports whether what stands at text[start:end] is a part of the
// server's own sentence, and not a value that it repeats: it consists of ordinary
// words, and does not stand where a value stands, in quotes or after a colon or an
// equals sign.
func isOwnWord(text string, start, end int) bool {
	match := text[start:end]
	before, after := text[:start], text[end:]
	before = strings.TrimRightFunc(before, unicode.IsLetter)
	after = strings.TrimLeftFunc(after, unicode.IsLetter)
	whole := text[len(before) : len(text)-len(after)]
	if !isOrdinary(whole) {
		return false
	}
	if len(whole) > len(match) {
		return true // only a part of a word
	}
	const quotes = "'\"`‘’“”«»"
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	inQuotes := strings.ContainsRune(quotes, last) && strings.ContainsRune(quotes+`\`, next)
	if inQuotes {
		before = strings.TrimRight(before, quotes+`\`)
		after = strings.TrimLeft(after, quotes+`\`)
		if strings.HasPrefix(strings.TrimLeft(after, " "), ":") {
			return true // the name of a member
		}
	}
	before = strings.TrimRight(before, " ")
	if strings.HasSuffix(before, ":") || strings.HasSuffix(before, "=") {
		return false
	}
	return !inQuotes || isFieldName(whole)
}

// isOrdinary reports whether a text consists of ordinary words alone, also as they
// stand in names: currentPassword, bad_request.
func isOrdinary(text string) bool {
	words := wordsIn(text)
	for _, word := range words {
		if !ordinary[strings.ToLower(word)] {
			return false
		}
	}
	return len(words) > 0
}

func wordsIn(text string) (words []string) {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == '_' || r == '-' }) {
		begin, upper := 0, true
		for i, r := range part {
			if unicode.IsUpper(r) && !upper {
				words = append(words, part[begin:i])
				begin = i
			}
			upper = unicode.IsUpper(r)
		}
		words = append(words, part[begin:])
	}
	return words
}

// isFieldName reports what a server quotes to name a field.
func isFieldName(text string) bool {
	return fieldNames[strings.ToLower(text)] || !strings.Contains(text, " ") && len(wordsIn(text)) > 1
}
