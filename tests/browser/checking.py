"""What every page has to do in a real browser: the checks, as one function.

References: https://www.w3.org/TR/WCAG22/
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from chromium import Chromium, Tab

PHONE, DESKTOP = 360, 1280
MOST_STOPS = 150  # of the tab key; the rest of a long page is of the same kinds
AT_ONCE = 8  # faults of one kind that are named

OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"

STRUCTURE = """(() => {
  const faults = [];
  const say = (what, element) => faults.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  const name = element => element.getAttribute('aria-label') || element.textContent.trim() || element.title ||
    [...element.querySelectorAll('img[alt], svg[aria-label]')].map(
      each => each.alt || each.getAttribute('aria-label')).join('') ||
    (element.labels && element.labels[0] && element.labels[0].textContent.trim());
  if (!document.documentElement.lang) faults.push('no language');
  if (!document.title.trim()) faults.push('no title');
  if (!document.querySelector('main')) faults.push('no main');
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    if (+heading.tagName[1] > level + 1) say('a heading skips a level', heading);
    level = +heading.tagName[1];
  }
  const ids = new Set();
  for (const element of document.querySelectorAll('[id]')) {
    if (ids.has(element.id)) say('id twice', element);
    ids.add(element.id);
  }
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    const goal = link.getAttribute('href').slice(1);  // of HTML and of SVG
    if (goal && !ids.has(decodeURIComponent(goal))) say('leads nowhere', link);
  }
  for (const img of document.querySelectorAll('img')) if (!img.hasAttribute('alt')) say('no alt', img);
  for (const svg of document.querySelectorAll('svg'))
    if (!svg.matches('[aria-label], [aria-hidden=true]') && !svg.querySelector(':scope > title')) say('no name', svg);
  for (const element of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]'))
    if (element.type !== 'hidden' && !name(element)) say('no name', element);
  const stops = 'a[href], button, input, select, textarea, summary, label, [tabindex]';
  for (const element of document.querySelectorAll('main *'))
    if (getComputedStyle(element).cursor === 'pointer' && !element.closest(stops)) say('no key reaches', element);
  return faults;
})()"""

TOO_WIDE = """(() => {
  const width = document.documentElement.clientWidth, faults = [];
  if (document.documentElement.scrollWidth <= width) return faults;
  const scrolls = element => element && (/auto|scroll|hidden|clip/.test(getComputedStyle(element).overflowX) ||
    scrolls(element.parentElement));
  for (const element of document.querySelectorAll('main *')) {
    const right = element.getBoundingClientRect().right + scrollX;
    if (right > width + 1 && !scrolls(element.parentElement))
      faults.push(`${Math.round(right)} pixels: ${element.outerHTML.slice(0, 120)}`);
  }
  return faults.length ? faults : [`the page is ${document.documentElement.scrollWidth} pixels wide`];
})()"""

SMALL_TARGETS = """(() => {
  const faults = [];
  for (const element of document.querySelectorAll('a[href], button, input, select, textarea, summary')) {
    const box = element.getBoundingClientRect(), style = getComputedStyle(element);
    if (!box.width || style.visibility === 'hidden' || style.display === 'inline') continue;
    const label = element.labels && element.labels[0] && element.labels[0].getBoundingClientRect();
    const w = Math.max(box.width, label ? label.width : 0), h = Math.max(box.height, label ? label.height : 0);
    if (Math.min(w, h) >= 23.5) continue;
    faults.push(`${w.toFixed(0)} x ${h.toFixed(0)} pixels: ${element.outerHTML.slice(0, 120)}`);
  }
  return faults;
})()"""

CONTRAST = """(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  const known = new Map();
  const rgba = text => {
    if (!known.has(text)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = text;
      canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, below) => {
    const a = top[3] + below[3] * (1 - top[3]);
    const mix = i => a ? (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / a : 0;
    return [mix(0), mix(1), mix(2), a];
  };
  const light = colour => colour.slice(0, 3).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  ).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const inside = (box, x, y) => box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
  const shapes = svg => [...svg.querySelectorAll('rect, circle, ellipse, path, polygon, image')];
  const faults = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const probe = document.body.appendChild(document.createElement('i'));
  probe.style.backgroundColor = 'Canvas';  // what is behind everything, in this colour scheme
  const paper = rgba(getComputedStyle(probe).backgroundColor);
  probe.remove();
  let counted = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest('script, style, noscript, title, desc, datalist')) continue;
    if (!element.checkVisibility({checkOpacity: true, checkVisibilityCSS: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    counted += 1;
    const x = box.left + box.width / 2, y = box.top + box.height / 2;
    const style = getComputedStyle(element), svg = element.closest('svg');
    let ink = rgba(svg ? style.fill : style.color), ground = [0, 0, 0, 0], opacity = 1, bare = false;
    if (svg) {
      ink = [...ink.slice(0, 3), ink[3] * style.fillOpacity];
      for (const shape of shapes(svg).reverse()) {
        const own = getComputedStyle(shape);
        if (shape.compareDocumentPosition(element) & 4 && own.fill !== 'none' && own.opacity * own.fillOpacity > 0 &&
            inside(shape.getBoundingClientRect(), x, y)) {
          if (shape.tagName === 'image') bare = ground[3] < 0.999;
          const fill = rgba(own.fill);
          ground = over(ground, [...fill.slice(0, 3), fill[3] * own.fillOpacity * own.opacity]);
        }
      }
    }
    let lifted = false;
    for (let each = element; each && ground[3] < 0.999; each = each.parentElement) {
      const own = getComputedStyle(each);
      opacity *= own.opacity;
      if (/gradient|url/.test(own.backgroundImage)) bare = true;
      ground = over(ground, rgba(own.backgroundColor));
      lifted = lifted || own.position === 'absolute';
      if (ground[3] < 0.999 && lifted && each.parentElement)
        for (const picture of each.parentElement.querySelectorAll('img, canvas, video'))
          if (!each.contains(picture) && inside(picture.getBoundingClientRect(), x, y)) bare = true;
    }
    const words = `"${node.data.trim().slice(0, 40)}" in ${element.outerHTML.slice(0, 80)}`;
    if (bare) { faults.push(`letters on a picture without a plate: ${words}`); continue; }
    ground = over(ground, paper);
    const seen = over([...ink.slice(0, 3), ink[3] * opacity], ground);
    const [low, high] = [light(seen), light(ground)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) faults.push(`${ratio.toFixed(2)}: ${words}`);
  }
  return counted ? faults : ['no text at all'];
})()"""

STOPS = """(() => {
  const chosen = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  const stops = [...document.querySelectorAll(chosen)].filter(element => {
    if (element.disabled || element.tabIndex < 0 || element.closest('[inert]')) return false;
    if (element.type === 'radio' && !element.checked &&
        document.querySelector(`input[type=radio][name="${element.name}"]:checked`)) return false;
    return element.checkVisibility({checkVisibilityCSS: true});
  });
  stops.forEach((element, i) => element.dataset.stop = i);
  document.activeElement && document.activeElement.blur();
  window.scrollTo(0, 0);
  return stops.length;
})()"""

FOCUSED = """(() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const look = () => [element, ...element.querySelectorAll('*')].map(each => {
    const style = getComputedStyle(each);
    const line = parseFloat(style.outlineWidth) >= 1 && style.outlineStyle !== 'none' && style.outlineColor;
    return [line, style.boxShadow, style.stroke, style.strokeWidth, style.strokeDasharray].join();
  }).join(';');
  const focused = look(), box = element.getBoundingClientRect();
  element.blur();
  const ring = look() !== focused;
  element.focus({preventScroll: true});
  const seen = box.bottom > 0 && box.top < innerHeight && box.width > 0;
  return [element.dataset.stop, ring, seen, element.outerHTML.slice(0, 120)];
})()"""

MOVING = """(() => {
  const faults = document.getAnimations().map(each => `animation of ${each.effect.target.outerHTML.slice(0, 80)}`);
  for (const element of document.querySelectorAll('*')) {
    const style = getComputedStyle(element);
    if (style.scrollBehavior === 'smooth') faults.push(`smooth scrolling of ${element.tagName}`);
    if (style.transitionDuration.split(',').some(each => parseFloat(each) > 0.01))
      faults.push(`transition of ${element.outerHTML.slice(0, 80)}`);
  }
  return faults;
})()"""


def check_page(browser: Chromium, path: Path) -> None:
    """Open a page as a phone and as a desktop would, dark and light, and go through it with the keyboard.

    Nothing may be said on the console and nothing fetched; nothing may be wider than the screen; all text has the
    contrast of WCAG AA; the tab key reaches everything, visibly; with less motion wanted, nothing moves.

    Args:
        browser: The browser.
        path: The page.
    """
    faults: list[str] = []
    for width, scheme in product((PHONE, DESKTOP), ("light", "dark")):
        with browser.open(path, width, scheme) as tab:
            seen = faults_of_look(tab, phone=width == PHONE)
            faults += [f"{path.name}, {width} pixels, {scheme}: {fault}" for fault in seen]
    with browser.open(path, DESKTOP, "light", still=True) as tab:
        named = _named(tab, {"structure": STRUCTURE, "moves": MOVING}) + faults_of_keys(tab) + tab.said()
        faults += [f"{path.name}: {fault}" for fault in named]
    assert not faults, "\n".join(faults)


def faults_of_look(tab: Tab, *, phone: bool) -> list[str]:
    """Look at an open page as it came, and with everything unfolded."""
    faults = _named(tab, {"too wide": TOO_WIDE})
    tab.ask(OPEN_ALL)
    checks = {"too wide": TOO_WIDE, "contrast": CONTRAST} | ({"too small to tap": SMALL_TARGETS} if phone else {})
    return list(dict.fromkeys(faults + _named(tab, checks))) + tab.said()


def faults_of_keys(tab: Tab) -> list[str]:
    """Go through an open page with the tab key."""
    count = tab.ask(STOPS)
    wanted = {str(i) for i in range(min(count, MOST_STOPS))}
    faults: list[str] = []
    reached: set[str] = set()
    for _ in range(len(wanted)):
        tab.press("Tab")
        focused: Any = tab.ask(FOCUSED)
        if focused is None:
            break
        stop, ring, seen, words = focused
        reached.add(stop)
        faults += [] if ring else [f"focus is not visible: {words}"]
        faults += [] if seen else [f"focus is off the screen: {words}"]
    for stop in sorted(wanted - reached, key=int)[:AT_ONCE]:
        words = tab.ask(f"document.querySelector('[data-stop=\"{stop}\"]').outerHTML.slice(0, 120)")
        faults.append(f"the tab key does not reach {words}")
    return faults[: 2 * AT_ONCE]


def _named(tab: Tab, checks: dict[str, str]) -> list[str]:
    faults: list[str] = []
    for name, check in checks.items():
        found = tab.ask(check)
        faults += [f"{name}: {each}" for each in found[:AT_ONCE]]
        faults += [f"{name}: and {len(found) - AT_ONCE} more"] if len(found) > AT_ONCE else []
    return faults
