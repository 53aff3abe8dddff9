"""The vocabulary of the animatic model by kind: canonical words and their synonyms.

Synonyms can be phrases of several words; verbs are listed with their forms. Words in `FILLERS` are known but
carry no information for the model.
"""

from __future__ import annotations

from typing import Final

# fmt: off


def _verb(base: str, *others: str) -> tuple[str, ...]:
    """The regular forms of a verb, and other words or phrases."""
    stem = base[:-1] if base.endswith("e") else base
    third = base + ("es" if base.endswith(("s", "sh", "ch", "x", "o")) else "s")
    return (base, third, stem + "ing", stem + "ed", *others)


SETS: Final[dict[str, tuple[str, ...]]] = {
    "beach": ("beach", "beaches", "seaside", "shore", "coast", "sand", "sea", "ocean", "island"),
    "forest": ("forest", "forests", "wood", "woods", "woodland", "jungle", "trees"),
    "city": ("city", "town", "street", "streets", "downtown", "road"),
    "desert": ("desert", "deserts", "canyon", "dunes", "mesa"),
    "snow": ("snow", "mountains", "mountain", "snowfield", "alps", "cabin", "snowy mountains", "ice"),
    "room": ("room", "living room", "house", "home", "bedroom", "indoors", "inside", "parlour"),
    "moon": ("moon", "space", "planet", "outer space", "crater"),
    "meadow": ("meadow", "meadows", "field", "fields", "park", "farm", "hill", "hills", "garden", "grass"),
}

ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "stand": ("stand", "stands", "standing", "stood", "stand still", "stands still", "wait", "waits",
              "waiting", "pose", "poses", "stay", "stays"),
    "walk": _verb("walk", "stroll", "strolls", "strolling", "wander", "wanders", "march", "marches", "come",
                  "comes", "go", "goes", "goes for a walk"),
    "run": ("run", "runs", "running", "ran", "race", "races", "racing", "rush", "rushes", "hurry", "hurries",
            "sprint", "sprints", "dash", "dashes", "chase", "chases"),
    "jump": _verb("jump", "jump up", "jumps up", "hop", "hops", "hopping", "leap", "leaps", "bounce",
                  "bounces"),
    "spin": ("spin", "spins", "spinning", "spun", "twirl", "twirls", "whirl", "whirls", "turns around",
             "turn around", "rotates"),
    "wave": _verb("wave", "greet", "greets", "greeting", "say hello", "says hello"),
    "sit": ("sit", "sits", "sitting", "sat", "sit down", "sits down", "rest", "rests", "resting"),
    "sleep": ("sleep", "sleeps", "sleeping", "slept", "nap", "naps", "snooze", "snoozes", "falls asleep",
              "asleep", "dream", "dreams", "dreaming"),
    "dance": _verb("dance", "party", "parties", "boogie", "boogies"),
    "fall": ("fall", "falls", "falling", "fell", "fall over", "falls over", "fall down", "falls down", "trip",
             "trips", "tumble", "tumbles", "stumble", "stumbles", "slips"),
    "cheer": _verb("cheer", "celebrate", "celebrates", "rejoice", "rejoices", "hurrah"),
    "bow": _verb("bow", "nod", "nods", "bow down", "bows down"),
    "float": _verb("float", "fly", "flies", "flying", "hover", "hovers", "drift", "drifts", "levitates"),
    "look": _verb("look", "look around", "looks around", "search", "searches", "watch", "watches",
                  "watching"),
}

PROP_VERBS: Final[dict[str, tuple[str, ...]]] = {
    "hold": ("hold", "holds", "holding", "held", "carry", "carries", "carrying", "has", "have", "bring",
             "brings", "takes along"),
    "throw": ("throw", "throws", "throwing", "threw", "toss", "tosses", "kick", "kicks"),
    "lies": ("lies", "lie", "lying", "beside", "next to", "near", "there is", "there are", "finds", "find"),
}

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "gains": ("put on", "puts on", "putting on", "gets", "get", "receives", "gains", "dons", "tries on"),
    "loses": ("lose", "loses", "losing", "lost", "take off", "takes off", "taking off", "drops", "removes"),
    "painted": ("painted", "is painted", "gets painted", "turns", "turn", "becomes", "dyed", "is dyed"),
    "grows": ("grow", "grows", "growing", "grew", "grow up", "grows up", "growing up", "gets bigger",
              "becomes big"),
}

DIRECTIONS: Final[dict[str, tuple[str, ...]]] = {
    "left": ("left", "to the left", "leftward", "leftwards"),
    "right": ("right", "to the right", "rightward", "rightwards"),
}

EXPRESSIONS: Final[dict[str, tuple[str, ...]]] = {
    "calm": ("calm", "calmly", "quiet", "quietly", "peaceful", "peacefully", "neutral"),
    "happy": ("happy", "happily", "smile", "smiles", "smiling", "laugh", "laughs", "laughing", "glad",
              "gladly",
              "joyful", "joyfully", "merry", "merrily", "cheerful", "cheerfully", "proud", "proudly"),
    "sad": ("sad", "sadly", "cry", "cries", "crying", "unhappy", "unhappily", "weeps", "weeping", "lonely"),
    "angry": ("angry", "angrily", "furious", "furiously", "mad", "grumpy", "grumpily", "cross"),
    "surprised": ("surprised", "amazed", "astonished", "shocked", "scared", "afraid", "startled",
                  "frightened"),
    "sleepy": ("sleepy", "sleepily", "tired", "tiredly", "weary", "yawns", "yawning"),
}

PROPS: Final[dict[str, tuple[str, ...]]] = {
    "ball": ("ball", "balls", "beach ball", "football"),
    "balloon": ("balloon", "balloons"),
    "kite": ("kite", "kites"),
    "umbrella": ("umbrella", "umbrellas", "parasol", "parasols"),
    "flower": ("flower", "flowers", "rose", "daisy", "tulip"),
    "gift": ("gift", "gifts", "present", "presents", "parcel", "box", "package"),
}

ACCESSORIES: Final[dict[str, tuple[str, ...]]] = {
    "hat": ("hat", "hats", "top hat", "cap"),
    "glasses": ("glasses", "spectacles", "goggles", "sunglasses"),
    "scarf": ("scarf", "scarves", "shawl"),
    "crown": ("crown", "crowns", "tiara"),
    "backpack": ("backpack", "backpacks", "rucksack", "knapsack", "bag"),
}

SHAPES: Final[dict[str, tuple[str, ...]]] = {
    "round": ("round", "circle", "circular", "ball-shaped", "spherical"),
    "square": ("square", "boxy", "square-shaped", "cubic", "block"),
    "triangle": ("triangle", "triangular", "pointed", "pyramid"),
    "star": ("star", "star-shaped", "starry"),
    "drop": ("drop", "drop-shaped", "teardrop", "pear-shaped"),
    "bean": ("bean", "bean-shaped", "oval", "pill-shaped", "tall"),
}

COLOURS: Final[dict[str, tuple[str, ...]]] = {
    "red": ("red", "crimson", "scarlet", "ruby"),
    "orange": ("orange", "amber", "rust"),
    "yellow": ("yellow", "gold", "golden", "lemon"),
    "green": ("green", "lime", "emerald", "olive"),
    "teal": ("teal", "turquoise", "cyan", "aqua", "mint"),
    "blue": ("blue", "navy", "azure"),
    "purple": ("purple", "violet", "lilac", "lavender"),
    "pink": ("pink", "rosy", "magenta"),
    "white": ("white", "cream", "pale", "ivory"),
}

TIMES: Final[dict[str, tuple[str, ...]]] = {
    "day": ("day", "daytime", "noon", "daylight", "by day", "sunny", "morning", "afternoon"),
    "sunset": ("sunset", "evening", "dusk", "dawn", "sunrise", "golden hour", "evening light", "twilight"),
    "night": ("night", "nighttime", "midnight", "moonlight", "starlight", "by night", "dark"),
}

WEATHERS: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("clear", "clear sky", "cloudless"),
    "rain": ("rain", "rains", "raining", "rainy", "storm", "stormy", "shower"),
    "snowfall": ("snowfall", "snows", "snowing", "snowy", "snowflakes", "blizzard"),
    "fog": ("fog", "foggy", "mist", "misty", "haze", "hazy"),
    "wind": ("wind", "windy", "breeze", "breezy", "gale"),
}

FRAMINGS: Final[dict[str, tuple[str, ...]]] = {
    "wide": ("wide", "wide shot", "long shot", "from afar", "full shot", "establishing shot"),
    "medium": ("medium", "medium shot", "mid shot"),
    "closeup": ("closeup", "close-up", "close up", "close shot", "close"),
}

CAMERAS: Final[dict[str, tuple[str, ...]]] = {
    "static": ("static", "static shot", "still camera", "static camera", "locked camera"),
    "pan_left": ("pan left", "pans left", "panning left", "camera pans left", "pan to the left"),
    "pan_right": ("pan right", "pans right", "panning right", "camera pans right", "pan to the right"),
    "zoom_in": ("zoom in", "zooms in", "zooming in", "camera zooms in", "push in", "dolly in"),
    "zoom_out": ("zoom out", "zooms out", "zooming out", "camera zooms out", "pull out", "dolly out"),
    "tilt_up": ("tilt up", "tilts up", "tilting up", "camera tilts up", "crane up"),
    "tilt_down": ("tilt down", "tilts down", "tilting down", "camera tilts down", "crane down"),
    "follow": ("follow", "follows", "following", "camera follows", "tracking shot", "tracking"),
    "shake": ("shake", "shaky", "camera shakes", "shaking", "handheld", "earthquake"),
    "sway": ("sway", "sways", "swaying", "camera sways", "dutch angle", "rocking"),
}

STRUCTURE: Final[dict[str, tuple[str, ...]]] = {
    "and": ("and", "&", "together with"),
    "while": ("while", "as", "whereas", "meanwhile"),
    "with": ("with", "wearing", "wears"),
    "is": ("is", "are", "was", "were"),
    ",": (",", ";", ":"),
    ".": (".", "!", "?"),
}

_FILLERS = """
a an the of on in at to into onto for from by his her its their he she it they them him this that these those
there here then now very so too again still up down out off over around through across some one two three
creature character friend friends animal being fellow someone everyone nobody stripe stripes trim accent body
shaped camera shot light lights warm cold soft bright big little small old young new feels feel seems looking
slowly quickly fast slow gently alone both all each other just back away toward towards behind under above
front next sky sun time moment story scene also who which be been make makes making s suddenly finally later
soon once today tomorrow always never first last when after before until
"""
FILLERS: Final = frozenset(_FILLERS.split())

KINDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "set": SETS,
    "action": ACTIONS,
    "prop verb": PROP_VERBS,
    "event": EVENTS,
    "direction": DIRECTIONS,
    "expression": EXPRESSIONS,
    "prop": PROPS,
    "accessory": ACCESSORIES,
    "shape": SHAPES,
    "colour": COLOURS,
    "time": TIMES,
    "weather": WEATHERS,
    "framing": FRAMINGS,
    "camera": CAMERAS,
    "structure": STRUCTURE,
}
