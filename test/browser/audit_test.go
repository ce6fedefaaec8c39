package browser_test

// auditScript lists what is wrong with a page: names that a screen reader
// lacks, headings out of order, text that is too faint (WCAG AA), wrong fields
// that look like the others, and anything that sticks out of its place.
const auditScript = `(() => {
	const faults = [];
	const visible = e => e.checkVisibility() && e.getClientRects().length > 0;
	if (!document.documentElement.lang) faults.push('the page names no language');
	if (document.querySelectorAll('h1').length !== 1) faults.push('the page has not exactly one h1');
	if (document.querySelectorAll('main').length !== 1) faults.push('the page has not exactly one main');
	if (!document.title) faults.push('the page has no title');
	let level = 0;
	for (const h of document.querySelectorAll('h1, h2, h3, h4')) {
		const l = +h.tagName[1];
		if (l > level + 1) faults.push('the heading "' + h.textContent + '" skips a level');
		level = l;
	}
	for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea')) {
		if (!e.labels.length && !e.getAttribute('aria-label')) faults.push('the field ' + e.name + ' has no label');
		for (const id of (e.getAttribute('aria-describedby') || '').split(' ').filter(Boolean))
			if (!document.getElementById(id)) faults.push('the field ' + e.name + ' is described by nothing: ' + id);
	}
	for (const e of document.querySelectorAll('a[href], button')) {
		if (!(e.textContent.trim() || e.getAttribute('aria-label'))) faults.push('a link or button has no name');
		const box = e.getBoundingClientRect();
		if (visible(e) && e.tagName === 'BUTTON' && box.height < 24) faults.push('the button "' + e.textContent.trim() + '" is too small to hit');
	}
	for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) faults.push('a picture has no alt');
	const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
	for (const id of new Set(ids)) if (ids.filter(x => x === id).length > 1) faults.push('the ID ' + id + ' is there twice');
	const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
	if (wide > 0) faults.push('the page is ' + wide + ' px too wide');
	for (const e of document.querySelectorAll('.bar, .side, .card, .actions, .inline, .foot .wrap'))
		if (e.scrollWidth > e.clientWidth) faults.push('what is in ' + e.className + ' sticks out of it');
	for (const e of document.querySelectorAll('[aria-invalid=true]')) {
		const edge = getComputedStyle(e).borderTopColor.match(/[\d.]+/g).map(Number);
		if (!e.getAttribute('aria-describedby')) faults.push('the wrong field ' + e.name + ' does not say why');
		if (edge[0] < 2 * edge[1]) faults.push('the wrong field ' + e.name + ' is not marked');
	}

	const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return {r: m[0], g: m[1], b: m[2], a: m.length > 3 ? m[3] : 1}; };
	const light = c => { const f = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); };
		return 0.2126 * f(c.r) + 0.7152 * f(c.g) + 0.0722 * f(c.b); };
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.textContent.trim() || !visible(e) || e.closest('.unseen') || e.closest('.skip')) continue;
		let at = e, grounds = [{r: 255, g: 255, b: 255}]; // a gradient has several, and the text may be on any
		while (at) {
			const style = getComputedStyle(at), c = parse(style.backgroundColor);
			if (style.backgroundImage.includes('gradient')) { grounds = style.backgroundImage.match(/rgba?\([^)]*\)/g).map(parse); break; }
			if (c.a === 1) { grounds = [c]; break; }
			at = at.parentElement;
		}
		const style = getComputedStyle(e), a = light(parse(style.color));
		const contrast = Math.min(...grounds.map(light).map(b => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)));
		const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && +style.fontWeight >= 700;
		if (contrast < (large ? 3 : 4.5)) faults.push('"' + walker.currentNode.textContent.trim().slice(0, 30) + '" is too faint: ' + contrast.toFixed(2));
	}
	return faults;
})()`
