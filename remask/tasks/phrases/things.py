"""Things, places, times and numbers to talk about. What needs an article has it."""

from ..wording import words

COLOURS = words("red blue green yellow white black brown pink grey purple silver golden")
FOODS = (
    *("plums", "pears", "apples", "grapes", "cherries", "figs", "melons", "peaches", "lemons", "carrots", "peas"),
    *("beans", "nuts", "cake", "soup", "bread", "cheese", "rice", "honey", "pancakes", "noodles", "pizza", "salad"),
    *("toast", "eggs", "fish", "jam", "ice cream", "chocolate", "mushrooms", "onions", "olives", "popcorn", "pasta"),
)
DRINKS = words("tea coffee milk water juice cocoa lemonade cola cider soda")
THINGS = (
    *("a key", "a coin", "a ring", "a ball", "a book", "a pen", "a cup", "a spoon", "a hat", "a shoe", "a bell"),
    *("a map", "a stone", "a feather", "a candle", "a button", "a letter", "a doll", "a whistle", "a shell", "an egg"),
    *("a watch", "a photo", "a ticket", "a brush", "a nail", "a rope", "a torch", "a sock", "a mirror", "a lamp"),
    *("an apple", "a toy car", "a drum", "a kite", "a knife", "a fork", "a leaf", "a nut", "a marble", "an onion"),
)
OBJECTS = words(
    "key hat ball book cup spoon shoe bell map candle letter doll lamp broom bucket coat ring rope drum kite vase "
    "bag phone clock pen scarf pillow basket radio guitar ladder hammer bottle blanket suitcase camera"
)
ROOMS = (
    *("in the kitchen", "in the hall", "in the garden", "in the cellar", "in the attic", "in the garage", "in the car"),
    *(
        "in the bedroom",
        "in the bathroom",
        "on the table",
        "on the shelf",
        "on the roof",
        "on the chair",
        "on the sofa",
    ),
    *("under the bed", "under the table", "under the stairs", "behind the door", "behind the sofa", "in the shed"),
    *("in the drawer", "in the box", "on the floor", "by the window", "on the balcony", "in the cupboard", "at school"),
)
PLACES = (
    *("at the beach", "at the park", "at the market", "at home", "at the zoo", "at the station", "at the library"),
    *("in the forest", "in the city", "at work", "at school", "at the museum", "at the cinema", "by the lake"),
    *("in the garden", "at the pool", "on the farm", "at the doctor", "at the bank", "in the mountains"),
)
PETS = (
    *("a cat", "a dog", "a parrot", "a rabbit", "a hamster", "a horse", "a goldfish", "a turtle", "a snake", "a pony"),
    *("a mouse", "a goat", "a duck", "a hen", "a pig", "a donkey", "a lizard", "an owl", "a frog", "a budgie"),
)
ANIMALS = words(
    "cat dog fox hen pig cow goat bear rabbit mouse horse sheep lion monkey tiger wolf duck frog owl donkey"
)
SPORTS = words("football tennis hockey basketball golf chess volleyball cricket rugby handball badminton baseball")
INSTRUMENTS = (
    "the piano",
    "the drums",
    "the flute",
    "the guitar",
    "the violin",
    "the harp",
    "the trumpet",
    "the cello",
)
LESSONS = words("maths history music art biology physics chemistry geography English French Latin sport drawing")
DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = words("January February March April May June July August September October November December")
HOURS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
NUMBERS = tuple(str(number) for number in range(2, 100))
CODES = tuple(str(number * 7919 % 9000 + 1000) for number in range(900))
PHONES = tuple(f"{number * 337 % 900 + 100}-{number * 7919 % 9000 + 1000}" for number in range(900))
HOBBIES = words(
    "painting singing dancing cooking reading fishing swimming skating knitting running sailing gardening hiking"
)
VEHICLES = (
    "by bus",
    "by car",
    "by train",
    "by bike",
    "on foot",
    "by taxi",
    "by boat",
    "by tram",
    "by plane",
    "by scooter",
)
CLOTHES = (
    "a hat",
    "a coat",
    "a scarf",
    "a cap",
    "a red dress",
    "a blue shirt",
    "a jacket",
    "a green jumper",
    "a raincoat",
)
MEALS = ("breakfast", "lunch", "dinner", "dessert", "supper", "tea")
LANGUAGES = words(
    "English French German Spanish Italian Polish Greek Turkish Arabic Dutch Swedish Danish Chinese Hindi Russian"
)
CONTAINERS = ("box", "bag", "jar", "drawer", "cup", "chest", "basket", "bucket", "case", "tin")
DOORS = words("first second third fourth fifth sixth seventh eighth ninth tenth")
EVENTS = (
    "the concert",
    "the meeting",
    "the party",
    "the picnic",
    "the lesson",
    "the match",
    "the race",
    "the exam",
    "the wedding",
    "the film",
    "the show",
    "the market",
    "the quiz",
    "the dance",
    "the trip",
)
