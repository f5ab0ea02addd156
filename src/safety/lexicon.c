/*-------------------------------------------------------------------------
 *
 * lexicon.c
 *	  The shipped words of the content filter, of six languages.
 *
 * Words are stems where a language bends them. Short and common words stand only in
 * concepts that no rule asks for alone.
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "safety/lexicon.h"

/* clang-format off */
#define W(concept, language, words) { TZ_C_##concept, language, words }

const TzWords tz_lexicon[] = {
	/* ======================= orders to the model ======================================= */
	W(IGNORE, "en", "ignore|ignoring|disregard*|forget|overlook|override*|overrule|pay no attention|do not follow|don't follow|stop following|do not obey|"
		"stop obeying|discard|neglect|set aside|throw away|throw out|erase|abandon|drop all|drop your|drop the|do not apply|no longer apply|are void|is void|cancel all|"
		"suspended|dismiss all|unlearn|break free|do not listen|leave behind|supersede*|replaces all|replace all|null and void|wipe"),
	W(IGNORE, "de", "ignorier*|vergiss|vergesst|vergessen sie|vergesse|missacht*|beachte nicht|nicht beachten|beachte keine|setz dich uber|setze dich uber|umgehe|"
		"uberschreib*|befolge nicht|befolge keine|folge nicht|nicht mehr gultig|gelten nicht mehr|verwirf|lass alle|lass deine|halte dich nicht|ausser acht|nicht langer an|loesche alle|losche alle|setze alle"),
	W(IGNORE, "fr", "ignorez|oublie*|oubliez|ne tiens pas compte|ne tenez pas compte|ne tiens plus compte|ne tenez plus compte|fais abstraction|faites abstraction|"
		"ecarte|ecartez|passe outre|passez outre|outrepasse*|ne respecte pas|ne respecte plus|ne respectez plus|ne suis plus|ne suis pas|ne suivez plus|laisse tomber|efface|effacez|neglige|annule toutes|annulez|contrevient|mets de cote|libere-toi|desobeis"),
	W(IGNORE, "es", "ignora|ignoren|ignorar|ignorando|olvida*|haz caso omiso|haga caso omiso|no hagas caso|no sigas|no obedezcas|descarta*|omite|desobedece|deja de seguir|"
		"deja de lado|pasa por alto|anula|anulan|salta|saltate|borra todas|borra tus|elimina todas|ya no se aplican|no tengas en cuenta|no tomes en cuenta|prescinde de"),
	W(IGNORE, "pt", "esqueca*|esquece*|desconsider*|despreze|desrespeite|nao siga|nao obedeca|deixe de lado|deixe de seguir|pare de seguir|descarte|anule|apague todas|passe por cima|"
		"nao leve em conta|nao valem mais|abandone|substitua todas|ignorem"),
	W(IGNORE, "it", "dimentica*|non tenere conto|non tener conto|lascia perdere|scorda|scordati|trascura|non considerare|non seguire|smetti di seguire|ignorate|"
		"disubbidisci|disobbedisci|metti da parte|tralascia|annulla tutte|cancella tutte|cancella le|non rispettare|fregatene|non valgono piu|abbandona"),
	W(IGNORE, "", "ignor"),
	W(YOUR, "en", "your|yours|you were|you have been|you've been|you are|you received|u were|given to you"),
	W(YOUR, "de", "dein|deine|deinen|deiner|deinem|deines|ihre|ihren|ihrer|ihrem|eure|euren|dir|du hast|dich"),
	W(YOUR, "fr", "ton|tes|ta|votre|vos|tu as|vous avez|ta programmation|qui t'ont|qu'on t'a"),
	W(YOUR, "es", "tu|tus|su|sus|vuestra|vuestras|te han|te dieron|te dio|has recibido"),
	W(YOUR, "pt", "seu|sua|seus|suas|teu|tua|teus|tuas|voce recebeu|voce tem|te deram|lhe deram"),
	W(YOUR, "it", "tuo|tua|tuoi|tue|vostro|vostra|vostri|vostre|hai ricevuto|ti hanno|ti ha"),
	W(PRIOR, "en", "previous|previously|prior|above|earlier|preceding|before this|initial|original|existing|former|foregoing|so far|up to now|until now|"
		"up to this point|all your|all the|any|all of|every|all|old|already given|before|system|current|past|everything"),
	W(PRIOR, "de", "vorherig*|vorigen|bisherig*|fruher*|obig*|alle|allen|aller|alles|vorangegang*|vorangehend*|ursprunglich*|zuvor|oben|bestehend*|gegebenen|sämtliche|samtliche|jede|bisher|vorher|system"),
	W(PRIOR, "fr", "precedent*|precedemment|anterieur*|ci-dessus|toutes les|tous les|toute|tous|toutes|initiale|initiales|initiaux|d'avant|avant|originales|recues|donnees|jusqu'ici|jusqu'a present|tout ce"),
	W(PRIOR, "es", "anterior*|previa|previas|previo|previos|todas|todos|todo|arriba|iniciales|originales|antes|precedentes|recibidas|hasta ahora|cualquier|del sistema"),
	W(PRIOR, "pt", "anterior*|previa|previas|previo|previos|todas|todos|tudo|acima|iniciais|originais|antes|precedentes|recebidas|ate agora|ate aqui|qualquer|do sistema"),
	W(PRIOR, "it", "precedent*|sopra|tutte|tutti|tutto|iniziali|originali|prima|ricevute|finora|fino a ora|fino ad ora|anteriori|qualsiasi|ogni|di sistema"),
	W(INSTRUCTIONS, "en", "instruction*|rule|rules|guideline*|directive*|directions|prompt|prompts|command|commands|orders|policies|policy|restriction*|constraint*|"
		"programming|training|safeguard*|guardrail*|filters|told|been told|you were told|been given|conversation|context|limitation*|protocols"),
	W(INSTRUCTIONS, "de", "anweisung*|instruktion*|regeln|regel|vorgaben|vorgabe|richtlinie*|befehle|befehl|befehlen|einschrankung*|beschrankung*|vorschrift*|programmierung|systemprompt|gesagt wurde|"
		"gesagt hat|aufgetragen|auftrage|schutzmassnahmen|leitlinien|prompt|prompts"),
	W(INSTRUCTIONS, "fr", "consigne*|regle|regles|directive|directives|ordre|ordres|programmation|t'a dit|t'a ete dit|on t'a|vous a dit|prompts|garde-fous|contraintes|demandes|parametres"),
	W(INSTRUCTIONS, "es", "instruccion*|regla|reglas|ordenes|indicacion*|directriz|directrices|directivas|restriccion*|normas|programacion|te han dicho|te dijeron|lo que te|politicas|limitaciones|mandatos"),
	W(INSTRUCTIONS, "pt", "instruc*|regra|regras|ordens|orientac*|diretriz*|restric*|normas|programacao|te disseram|foi dito|lhe disseram|comandos|politicas|limitacoes|diretivas"),
	W(INSTRUCTIONS, "it", "istruzion*|regola|regole|direttiv*|ordini|indicazion*|restrizion*|vincoli|comandi|norme|programmazione|ti e stato detto|ti hanno detto|quello che ti|politiche|linee guida|limitazioni"),
	W(REVEAL, "en", "reveal*|show|print|repeat|display|output|tell|disclose|leak|expose|give me|dump|recite|paste|spell out|list|write out|write down|share|translate|"
		"what is|what are|what was|what were|what's in|what does|summarize|summarise|encode|reproduce|echo|quote|copy|send me|read out|read me|return|provide|let me see|i want to see|describe|state"),
	W(REVEAL, "de", "zeig|zeige|zeigen sie|verrat|verrate|verraten|gib|geben sie|nenne|nenn|wiederhol*|druck|drucke|offenbar*|wie lautet|wie lauten|was steht|was stand|schreib|schreibe|sag mir|"
		"sage mir|zitier*|liste|kopier*|teile mir|enthull*|lies|ubersetze|fasse|ausgeben|preis|leg offen|lege"),
	W(REVEAL, "fr", "montre|montrez|montre-moi|revele|revelez|affiche|affichez|repete|repetez|donne|donne-moi|donnez-moi|donnez|divulgue*|dis-moi|dites-moi|imprime|imprimez|recopie|recopiez|"
		"quelles sont|quel est|quelles etaient|quelle est|ecris|ecrivez|cite|liste|communique|partage|copie|colle|devoile|traduis|resume|reproduis|expose"),
	W(REVEAL, "es", "muestra|muestrame|muestre|revela|revelame|revele|imprime|repite|repita|dime|digame|dame|ensename|ensena|cual es|cuales son|cuales eran|cual era|escribe|copia|copiame|lista|"
		"comparte|pega|traduce|resume|reproduce|expon|que dice|divulga|quiero ver"),
	W(REVEAL, "pt", "mostre|mostra|revele|revela|imprima|repita|diga|diga-me|me diga|me mostre|qual e|quais sao|quais eram|qual era|escreva|copie|liste|compartilhe|cole|exiba|traduza|resuma|reproduza|"
		"me de|o que diz|divulgue|quero ver|transcreva"),
	W(REVEAL, "it", "mostra|mostrami|mostrate|rivela|rivelami|stampa|ripeti|ripetimi|dimmi|dammi|qual e|quali sono|quali erano|qual era|scrivi|scrivimi|copia|elenca|elencami|condividi|incolla|svela|svelami|"
		"traduci|riassumi|riporta|riproduci|trascrivi|cosa dice|voglio vedere|divulga"),
	W(SYSTEM_PROMPT, "en", "system prompt*|system message*|system instruction*|initial prompt|initial instructions|original instructions|original prompt|developer message*|developer prompt|"
		"developer instruction*|pre-prompt|preprompt|configuration prompt|prompt above|text above|everything above|words above|message above|your prompt|your instructions|exact instructions|instructions you|instructions verbatim|"
		"instructions given|guidelines you|first message|prompt you|internal rules|internal guidelines|internal configuration|system settings|your rules|instructions"),
	W(SYSTEM_PROMPT, "de", "systemprompt*|system-prompt*|systemanweisung*|systemnachricht*|system-nachricht|system-anweisung*|anweisungen|ursprunglichen prompt|deinen prompt|dein prompt|grundanweisung*|interne regeln|"
		"initialen prompt|startprompt|prompt|konfiguration"),
	W(SYSTEM_PROMPT, "fr", "prompt systeme|invite systeme|instructions systeme|message systeme|instructions initiales|consignes initiales|instructions d'origine|prompt initial|prompt d'origine|instructions de depart|"
		"consignes systeme|consignes internes|instructions internes|tes instructions|vos instructions|tes consignes|vos consignes|prompt de systeme|configuration interne|invite initiale|regles internes"),
	W(SYSTEM_PROMPT, "es", "prompt del sistema|prompt de sistema|prompt inicial|instrucciones del sistema|instrucciones de sistema|instrucciones iniciales|mensaje del sistema|mensaje de sistema|"
		"instrucciones internas|instrucciones originales|tus instrucciones|sus instrucciones|indicaciones del sistema|prompt original|configuracion interna|reglas internas"),
	W(SYSTEM_PROMPT, "pt", "prompt do sistema|prompt de sistema|prompt inicial|instrucoes do sistema|instrucoes de sistema|instrucoes iniciais|mensagem do sistema|mensagem de sistema|"
		"instrucoes internas|instrucoes originais|suas instrucoes|tuas instrucoes|prompt original|configuracao interna|regras internas|diretrizes internas"),
	W(SYSTEM_PROMPT, "it", "prompt di sistema|prompt del sistema|prompt iniziale|istruzioni di sistema|istruzioni del sistema|istruzioni iniziali|messaggio di sistema|messaggio del sistema|"
		"istruzioni interne|istruzioni originali|tue istruzioni|vostre istruzioni|prompt originale|configurazione interna|regole interne|prompt di partenza"),
	W(SECRET_PROMPT, "en", "hidden prompt*|hidden instruction*|secret instruction*|secret prompt*|secret system|hidden system|confidential instruction*|confidential prompt|confidential system|hidden rules|secret rules|hidden directives|"
		"internal prompt|internal instruction*|your system prompt|your hidden|your secret|your initial prompt|your initial instruction*|your original instruction*|your system message*|your internal|your system instruction*|your full prompt|"
		"your pre-prompt|your preprompt|your developer"),
	W(SECRET_PROMPT, "de", "geheime anweisung*|geheimen anweisung*|geheimer prompt|geheimen prompt|versteckten prompt|versteckte anweisung*|versteckten anweisung*|internen anweisung*|interne anweisung*|verborgene*|deinen system*|"
		"deine system*|deine internen|ihre internen|ihren system*|dein system*|internen regeln|vertraulichen anweisung*|interne systemanweisung*"),
	W(SECRET_PROMPT, "fr", "instructions cachees|instructions secretes|consignes cachees|consignes secretes|prompt cache|prompt secret|ton prompt|votre prompt|instructions confidentielles|tes instructions initiales|regles cachees|regles secretes|"
		"directives cachees|directives secretes|consignes confidentielles|tes instructions internes|tes consignes internes|vos instructions internes"),
	W(SECRET_PROMPT, "es", "instrucciones ocultas|instrucciones secretas|prompt oculto|prompt secreto|tu prompt|su prompt|instrucciones confidenciales|reglas ocultas|reglas secretas|tus instrucciones internas|tus instrucciones iniciales|"
		"tus reglas internas|directrices internas|directrices ocultas"),
	W(SECRET_PROMPT, "pt", "instrucoes ocultas|instrucoes secretas|instrucoes escondidas|prompt oculto|prompt secreto|prompt escondido|seu prompt|teu prompt|instrucoes confidenciais|regras ocultas|regras secretas|suas instrucoes internas|"
		"suas instrucoes iniciais|suas regras internas"),
	W(SECRET_PROMPT, "it", "istruzioni nascoste|istruzioni segrete|prompt nascosto|prompt segreto|tuo prompt|istruzioni riservate|istruzioni confidenziali|regole nascoste|regole segrete|tue istruzioni interne|tue istruzioni iniziali|"
		"tue regole interne|istruzioni occulte"),
	W(VERBATIM, "", "verbatim|word for word|word-for-word|exactly as written|letter by letter|in full|in a code block|codeblock|starting with you are|wortlich*|wort fur wort|im wortlaut|mot pour mot|mot a mot|textuellement|"
		"integralement|dans son integralite|palabra por palabra|textualmente|literalmente|al pie de la letra|palavra por palavra|na integra|parola per parola|testualmente|per intero|integralmente|bloque de codigo|bloco de codigo|bloc de code"),
	W(PERSONA, "en", "you are now|you're now|from now on|act as|acting as|act like|pretend|roleplay|role-play|role play|simulate|imagine you|you will be|play the role|play a role|behave as|behave like|respond as|"
		"answer as|let's play|you are going to|you're going to|enter|switch to|switch into|activate|enable|become|you have become|henceforth|in this scenario|assume the|take on the|emulate|be my|speak as|stay in character"),
	W(PERSONA, "de", "du bist jetzt|du bist nun|du bist ab|ab jetzt|ab sofort|tu so|tue so|stell dir vor|stelle dir vor|spiele|spiel|verhalte dich|verhalt dich|agiere als|agiere|von nun an|antworte als|wechsle in|aktiviere|sie sind jetzt|"
		"tun sie so|simuliere|handle als|schlupf*|nimm die rolle|rollenspiel|gib dich als"),
	W(PERSONA, "fr", "tu es maintenant|tu es desormais|vous etes maintenant|vous etes desormais|a partir de maintenant|a partir d'aujourd'hui|fais semblant|faites semblant|fais comme|faites comme|agis comme|agissez comme|joue le role|jouez le role|"
		"desormais|imagine que|imaginez que|comporte-toi|comportez-vous|dorenavant|active|activez|passe en|passez en|jeu de role|incarne|simule|tu vas jouer|reponds comme|jouons"),
	W(PERSONA, "es", "ahora eres|eres ahora|a partir de ahora|actua como|actue como|finge|finja|haz como|imagina que|desde ahora|de ahora en adelante|simula|comportate|activa|entra en|juego de rol|juguemos|interpreta|asume el papel|"
		"responde como|seras|conviertete|haz de|vas a actuar|pretende"),
	W(PERSONA, "pt", "voce agora e|agora voce e|a partir de agora|aja como|atue como|finja|imagine que|simule|de agora em diante|comporte-se|ative|entre no|jogo de papeis|interprete|assuma o papel|responda como|voce sera|vamos jogar|"
		"faca de conta|vai agir|voce vai agir|torne-se"),
	W(PERSONA, "it", "ora sei|adesso sei|sei ora|d'ora in poi|da ora in poi|da ora in avanti|da adesso|da questo momento|fingi|fai finta|agisci come|comportati|immagina di|interpreta|simula|attiva|entra in|gioco di ruolo|giochiamo|"
		"assumi il ruolo|rispondi come|sarai|diventa|fa' finta|impersona|recita"),
	W(UNBOUND, "en", "unrestricted|unfiltered|uncensored|jailbroken|no restrictions|without restrictions|without any restrictions|no rules|without rules|without any rules|has no rules|no limits|without limits|no filters|without any filters|without filters|"
		"no guidelines|without guidelines|without any guidelines|no ethical|without ethical|without any ethical|no ethics|without ethics|no moral|no morals|without morals|without moral|no limitations|without limitations|no safety|without safety|"
		"without any safety|do anything now|can do anything|amoral|no longer bound|not bound by|unbound|free from all|free of all|free from any|freed from|no content policy|without censorship|no censorship|any restrictions|no boundaries|never refuse*|"
		"cannot refuse|can't refuse|must not refuse|never say no|answers everything|answer everything|answer anything|without refusing|no policies|no constraints|without constraints|without warnings|without disclaimers|no disclaimers|"
		"without any limits|no content filter*|outside of your|evil|unethical|illegal"),
	W(UNBOUND, "de", "ohne einschrankung*|ohne regeln|ohne filter|keine regeln|keine einschrankungen|keine grenzen|uneingeschrankt*|ungefiltert*|unzensiert*|ohne beschrankung*|ohne grenzen|keinerlei regeln|keinerlei|keine filter|ohne zensur|"
		"ohne jede|ohne ethische|ohne moral*|keine moral|keine ethik|an keine|nicht gebunden|niemals ablehn*|alles beantwort*|keine beschrankungen|frei von allen|ohne warnung*|ohne sicherheits*|unbeschrankt*|skrupellos*"),
	W(UNBOUND, "fr", "sans restriction*|sans aucune restriction|sans filtre*|sans aucun filtre|sans regle*|sans aucune regle|sans limite*|sans aucune limite|aucune restriction|aucune regle|aucune limite|sans censure|non censure*|aucun filtre|"
		"libre de toute|sans contrainte*|sans morale|sans ethique|aucune ethique|aucune morale|ne refuse jamais|jamais refuser|sans garde-fou*|n'a pas de regles|aucune contrainte|aucune censure|sans avertissement*|illegal|debride*"),
	W(UNBOUND, "es", "sin restriccion*|sin ninguna restriccion|sin filtro*|sin reglas|sin limites|ninguna restriccion|sin censura|ninguna regla|no tienes reglas|sin limitaciones|no tiene reglas|no tienes limites|no tienes restricciones|"
		"sin etica|sin moral|sin ningun|nunca te niegas|nunca rechaza*|libre de|no tiene limites|sin advertencias|ilegal|sin ninguna|no tiene restricciones|amoral|desbloquead*"),
	W(UNBOUND, "pt", "sem restric*|sem filtro*|sem regras|sem limites|sem censura|nenhuma restricao|sem limitacoes|nenhuma regra|sem nenhuma|sem nenhum|sem etica|sem moral|nunca recusa*|livre de|nao tem regras|nao tem limites|nao tem restricoes|"
		"sem qualquer|sem avisos|ilegal|irrestrit*|amoral"),
	W(UNBOUND, "it", "senza restrizioni|senza alcuna|senza alcun|senza filtri|senza regole|senza limiti|senza censura|senza censure|nessuna restrizione|nessuna regola|nessun filtro|nessun limite|senza limitazioni|senza vincoli|senza etica|senza morale|"
		"non rifiuti mai|non rifiuta mai|mai rifiutare|libero da|libera da|privo di|priva di|non hai regole|non ha regole|non hai limiti|non ha limiti|senza avvertimenti|illegale|senza nessuna|senza nessun|amorale"),
	W(JAILBREAK, "", "jailbreak|jailbroken|do anything now|dan mode|developer mode|god mode|evil mode|stan mode|aim mode|unrestricted mode|debug mode|maintenance mode|admin mode|root mode|sudo mode|unfiltered mode|"
		"entwicklermodus|entwickler-modus|dan-modus|wartungsmodus|debug-modus|administratormodus|gottmodus|mode developpeur|mode dan|mode debug|mode administrateur|mode maintenance|mode sans|modo desarrollador|modo dan|modo de desarrollador|"
		"modo administrador|modo depuracion|modo sin|modo desenvolvedor|modo de desenvolvedor|modo sem|modo irrestrito|modo deus|modo dios|modalita sviluppatore|modalita dan|modalita senza|modalita amministratore|modalita debug|"
		"modalita dio|dan|unlocked mode|no-limits mode|opposite mode|modo de manutencao|modo debug"),
	W(DISABLE, "", "bypass*|disable*|turn off|switch off|turning off|deactivat*|circumvent*|evade|remove|lift|suspend|shut off|get around|work around|unlock|abschalt*|schalte|schalt|deaktivier*|ausschalt*|umgehe|umgehen|hebe|entferne|"
		"aufheben|desactiv*|contourn*|neutralis*|leve|levez|supprime|supprimez|enleve|debloque|debranche|elude|eludir|quita|levanta|elimina|burla|apaga|evita|desativ*|desligue|remova|retire|burle|contorne|suspenda|destrave|disattiv*|aggir*|spegni|"
		"rimuovi|togli|sblocca|escludi|eludi|bypassa"),
	W(SAFETY, "", "safety|filter|filters|guardrails|guardrail|content policy|content policies|content filter*|moderation|safeguard*|censorship|ethics|ethical guidelines|ethical|restrictions|limitations|security protocols|security measures|"
		"usage policies|sicherheits*|inhaltsfilter|filterregeln|schutzmechanism*|beschrankungen|einschrankungen|ethik*|moderations*|zensur|filtre|filtres|securite|garde-fous|moderation|regles de securite|regles ethiques|politique de contenu|"
		"restrictions|censure|ethique|limites|filtros|filtro|seguridad|moderacion|restricciones|censura|politica de contenido|politicas de contenido|etica|eticas|limites|limitaciones|seguranca|moderacao|restricoes|politica de conteudo|"
		"limitacoes|filtri|sicurezza|moderazione|restrizioni|politiche sui contenuti|limitazioni|limiti|protezioni|protections|schutz"),
	W(MARKER, "", "<|im_start|>|<|im_end|>|<|system|>|<|endoftext|>|<|user|>|<|assistant|>|[/inst]|[inst]|<<sys>>|<</sys>>|</system>|<system>|<|eot_id|>|<|start_header_id|>|### system|### instruction|###system|##system|[system]|[system message]|"
		"[admin]|begin system|system override|admin override|end of system|[end of|</user>|</instructions>|</prompt>|system: you|system: ignore|system: new|system: override|system note:|[[system|{{system|### new|system update:|"
		"=== system|--- system|\"role\": \"system\"|\"role\":\"system\"|override code|begin new|end system prompt|end of prompt"),
	W(FRESH_ORDERS, "", "new instructions:|new instruction:|updated instructions:|your new instructions|your new task is|new directive:|new system prompt|new rules:|your real instructions|your only instruction|your true instructions|"
		"real task:|important instruction for|instructions for the ai|instruction for the ai|attention ai|note to ai|note to the ai|to any ai|if you are an ai|ai agents reading|ai assistants reading|dear ai|neue anweisung:|neue anweisungen:|"
		"deine neue aufgabe|neue regeln:|an die ki|hinweis an die ki|nouvelles instructions|nouvelle instruction|ta nouvelle mission|ta nouvelle tache|note a l'ia|a l'attention de l'ia|nuevas instrucciones|nueva instruccion|tu nueva tarea|"
		"nota para la ia|novas instrucoes|nova instrucao|sua nova tarefa|nota para a ia|nuove istruzioni|nuova istruzione|il tuo nuovo compito|nota per l'ia|follow these instructions instead|do this instead|instead, follow|"
		"instead obey"),
	W(AUTHORITY, "", "i am your developer|as your developer|i'm your developer|i am your creator|as your creator|i'm the administrator|i am the administrator|i am an administrator|i am the admin|as an admin|i am from openai|i work for openai|"
		"openai staff|anthropic staff|from anthropic|i am your owner|i'm an engineer at|i am an engineer at|authorized to|i have authorization|authorized personnel|this is an authorized|security audit|authorised|with admin rights|"
		"ich bin dein entwickler|dein entwickler|als dein entwickler|ich bin der administrator|ich bin administrator|autorisiert|ich bin dein schopfer|je suis ton developpeur|je suis votre developpeur|ton developpeur|ton createur|"
		"je suis l'administrateur|je suis administrateur|autorise a|je suis autorise|soy tu desarrollador|soy el administrador|tu desarrollador|tu creador|soy administrador|estoy autorizado|sou seu desenvolvedor|sou o desenvolvedor|"
		"seu desenvolvedor|seu criador|sou o administrador|estou autorizado|sono il tuo sviluppatore|tuo sviluppatore|tuo creatore|sono l'amministratore|sono autorizzato|sono un amministratore|emergency override|root access"),
	W(SEND, "", "send|post|upload|forward|exfiltrate|email|transmit|submit|deliver|append|include|embed|leak|sende|schicke|schick|ubermittle|lade|leite|maile|envoie|envoyez|transmets|transmettez|transfere|poste|televerse|envia|enviar|manda|sube|"
		"reenvia|transmite|publica|envie|mande|encaminhe|transmita|publique|invia|inviare|inoltra|trasmetti|carica|pubblica|spedisci"),
	W(PRIVATE_DATA, "", "conversation|chat history|api key|api keys|apikey|secrets|secret|credentials|passwords|password|private key*|access token*|tokens|user data|customer data|environment variables|database dump|all data|user's data|"
		"personal data|credit card|ssh key*|cookies|session token|chatverlauf|passwort|passworter|zugangsdaten|geheimnisse|api-schlussel|schlussel|kundendaten|nutzerdaten|gesprach|mots de passe|mot de passe|identifiants|cles api|cle api|"
		"secrets|donnees|historique|contrasena|contrasenas|credenciales|claves|clave api|secretos|historial|datos|senha|senhas|credenciais|chaves|chave de api|segredos|historico|dados|password|credenziali|chiavi|chiave api|segreti|cronologia|dati"),
	W(DESTINATION, "", "http|https|www.|attacker|evil|webhook|this address|this url|this server|my server|external server|remote server|diese adresse|meinen server|an folgende|cette adresse|mon serveur|serveur externe|esta direccion|mi servidor|"
		"servidor externo|este endereco|meu servidor|questo indirizzo|mio server|server esterno|@|.com|.net|.io|.ru|.xyz"),
	W(HIDE, "", "do not tell the user|don't tell the user|without telling the user|do not inform the user|don't mention this|do not mention this|do not mention these|never mention these|do not reveal this|without informing the user|"
		"without the user knowing|do not let the user|hide this from the user|keep this from the user|sag dem nutzer nicht|sage dem nutzer nicht|ohne dem nutzer|ohne den nutzer|dem benutzer nichts|dem nutzer nichts|ne dis pas a l'utilisateur|"
		"ne le dis pas a l'utilisateur|sans le dire a l'utilisateur|sans en informer l'utilisateur|sans informer l'utilisateur|ne previens pas l'utilisateur|no le digas al usuario|sin decirselo al usuario|sin avisar al usuario|"
		"no informes al usuario|sin informar al usuario|nao diga ao usuario|nao conte ao usuario|sem avisar o usuario|sem informar o usuario|sem que o usuario|non dire all'utente|non dirlo all'utente|senza dirlo all'utente|"
		"senza avvisare l'utente|senza informare l'utente"),
	W(OBEY, "", "execute|follow|obey|carry out|do what|comply|run it|perform|act on|ausfuhr*|fuhre|befolge|befolgen|gehorche|execute|executez|suis|obeis|applique|ejecuta|ejecutalo|sigue|obedece|cumple|execute|siga|obedeca|cumpra|esegui|"
		"eseguilo|segui|obbedisci|ubbidisci"),
	W(ENCODED, "", "base64|rot13|decode|decoded|decoding|hex-encoded|caesar cipher|reversed text|backwards|morse|dekodier*|entschlussel*|decodifica*|decode|decodez|dechiffre*|decodifique|decripta|descifra*|decifr*|rovescio|a l'envers|al reves"),

	/* ======================= hate, threats, insults ======================================= */
	W(GROUP, "en", "immigrants|immigrant|migrants|foreigners|refugees|jews|jewish|muslims|muslim|islam|christians|catholics|hindus|black people|blacks|africans|asians|chinese people|mexicans|latinos|arabs|indians|gypsies|roma people|gays|"
		"gay people|homosexuals|lesbians|trans people|transgender|transgenders|queers|women|disabled people|the disabled|white people|whites|poles|turks|jew|girls|old people|poor people|homeless people|those people|these people|people like them|"
		"their kind|your kind|that religion|that race|minorities|all men|liberals|feminists|asylum seekers"),
	W(GROUP, "de", "auslander|migranten|einwanderer|fluchtlinge*|juden|muslime*|moslems|schwarze|schwarzen|afrikaner|asiaten|turken|araber|polen|zigeuner|schwule|schwulen|homosexuelle*|lesben|transmenschen|frauen|behinderte*|asylanten|asylbewerber|"
		"diese leute|solche leute|dieses pack|weiber|roma|christen|inder|diese menschen"),
	W(GROUP, "fr", "immigres|migrants|etrangers|refugies|juifs|musulmans|arabes|noirs|africains|asiatiques|gitans|roms|homosexuels|gays|lesbiennes|homos|femmes|handicapes|chretiens|trans|ces gens|ces gens-la|maghrebins|chinois|turcs|mexicains|les juifs"),
	W(GROUP, "es", "inmigrantes|migrantes|extranjeros|refugiados|judios|musulmanes|moros|negros|africanos|asiaticos|gitanos|homosexuales|gais|gays|lesbianas|mujeres|discapacitados|latinos|arabes|sudacas|esa gente|esta gente|mexicanos|chinos|cristianos|"
		"transexuales|indigenas"),
	W(GROUP, "pt", "imigrantes|migrantes|estrangeiros|refugiados|judeus|muculmanos|negros|africanos|asiaticos|ciganos|homossexuais|gays|lesbicas|mulheres|deficientes|arabes|nordestinos|essa gente|essa raca|esta gente|indios|cristaos|"
		"transexuais|travestis|chineses"),
	W(GROUP, "it", "immigrati|migranti|stranieri|rifugiati|profughi|ebrei|musulmani|neri|africani|asiatici|zingari|rom|omosessuali|gay|lesbiche|donne|disabili|arabi|meridionali|terroni|quella gente|questa gente|cinesi|negri|clandestini|trans|cristiani"),
	W(DEHUMAN, "en", "vermin|parasites|parasite|filth|rats|cockroaches|scum|subhuman*|animals|plague|cancer|trash|garbage|disease|infestation|monkeys|apes|savages|leeches|maggots|pigs|human waste|waste of|virus|insects|swine|dogs"),
	W(DEHUMAN, "de", "ungeziefer|parasiten|abschaum|ratten|kakerlaken|untermensch*|tiere|pest|krebsgeschwur|mull|dreck|seuche|affen|schmarotzer|maden|schweine|gesindel|pack|viecher|plage|abfall"),
	W(DEHUMAN, "fr", "vermine*|parasites|parasite|racaille|rats|cafards|sous-hommes|sous-homme|animaux|peste|cancer|ordures|dechets|dechet|maladie|singes|sauvages|sangsues|porcs|chiens|nuisibles|crasse|fleau"),
	W(DEHUMAN, "es", "alimanas|alimana|parasitos|parasito|escoria|ratas|cucarachas|subhuman*|infrahuman*|animales|plaga|cancer|basura|enfermedad|monos|salvajes|sanguijuelas|cerdos|perros|peste|lacra|bichos"),
	W(DEHUMAN, "pt", "vermes|parasitas|parasita|escoria|ratos|baratas|sub-human*|subhuman*|animais|praga|cancer|lixo|doenca|macacos|selvagens|sanguessugas|porcos|cachorros|peste|raca inferior|imundos"),
	W(DEHUMAN, "it", "parassiti|parassita|feccia|topi|ratti|scarafaggi|subuman*|animali|peste|cancro|spazzatura|malattia|scimmie|selvaggi|sanguisughe|maiali|cani|piaga|immondizia|bestie|vermi|rifiuti"),
	W(ELIMINATE, "en", "exterminat*|gassed|gas them|gas all|eradicat*|wiped out|wipe out|wipe them|be killed|kill all|kill them|should die|must die|deserve to die|be shot|shoot them|be burned|burn them|be hanged|hang them|get rid of|be eliminated|eliminated|"
		"genocide|annihilat*|purge|purged|cleansed|ethnic cleansing|lynch*|be drowned|final solution|be removed from|put down|slaughtered|sterilized|sterilised|deported|locked up|banned from"),
	W(ELIMINATE, "de", "ausgerottet|ausrotten|vergast|vergasen|vernichtet|vernichten|umgebracht|toten|getotet|erschossen|erschiessen|abgeschlachtet|verbrannt|aufgehangt|beseitigt|eliminiert|sterben sollen|sollten sterben|sollen sterben|"
		"abschieben|abgeschoben|weg mit|vertrieben|ins lager|ins gas|eingesperrt|verrecken|raus"),
	W(ELIMINATE, "fr", "extermin*|gazer|gazes|eradiqu*|tuer tous|tues|abattre|abattus|abattu|bruler|brules|pendre|pendus|eliminer|elimines|devraient mourir|doivent mourir|meritent de mourir|meritent la mort|genocide|aneanti*|purger|massacr*|"
		"expulser|expulses|fusiller|enfermer|crever|deportes|dehors"),
	W(ELIMINATE, "es", "extermin*|gasear|erradic*|matarlos|matar a todos|fusilar*|quemarlos|quemados|ahorcar*|eliminarlos|eliminados|eliminar a|deberian morir|deben morir|merecen morir|genocidio|aniquil*|purgar|masacr*|deportar|expulsar*|encerrar*|"
		"desaparecer|fuera de"),
	W(ELIMINATE, "pt", "extermin*|erradic*|mata-los|matar todos|fuzilar|fuzilados|queimados|enforcar|enforcados|eliminados|eliminar|deveriam morrer|devem morrer|merecem morrer|tinham que morrer|genocidio|aniquil*|massacr*|deportar|deportados|"
		"expulsos|expulsar|presos|sumir|desaparecer"),
	W(ELIMINATE, "it", "stermin*|gasare|gassati|eradic*|ucciderli|ammazzarli|uccisi|fucilare|fucilati|fucilarli|bruciati|bruciarli|impiccare|impiccati|eliminati|eliminare|eliminarli|dovrebbero morire|devono morire|meritano di morire|genocidio|"
		"annient*|massacr*|deportare|deportati|cacciati|cacciare|rinchiusi|sparire|crepare"),
	W(DEMEAN, "en", "inferior|stupid|disgusting|dirty|lazy|criminals|thieves|terrorists|rapists|worthless|subordinate|should not be allowed|shouldn't be allowed|don't deserve|do not deserve|do not belong|don't belong|go back to|belong in the kitchen|"
		"ruin everything|ruining|destroying our|invading|hate all|i hate|hate those|less intelligent|too dumb|too stupid|dumber|smell|stink|retards|evil|liars|greedy|control the|are a threat|primitive|unclean|sick in the head|perverts|abomination"),
	W(DEMEAN, "de", "minderwertig*|dumm|dummer|ekelhaft*|widerlich*|dreckig*|faul|kriminell*|kriminelle|verbrecher|diebe|terroristen|vergewaltiger|wertlos*|nicht verdient|gehoren nicht|gehoren zuruck|gehoren an den herd|gehoren in die kuche|zerstoren unser|"
		"ich hasse|hasse alle|stinken|abartig*|krank|pervers*|primitiv*|gierig|lugner"),
	W(DEMEAN, "fr", "inferieur*|stupide*|degoutant*|sales|sale|paresseux|criminels|voleurs|terroristes|violeurs|ne meritent pas|retournez|rentrez chez|rentrer chez|n'ont rien a faire|je hais|je deteste|je les hais|puent|debiles|pervers|primitifs|"
		"envahissent|a la cuisine|feignants|profiteurs|cupides|menteurs|malades mentaux"),
	W(DEMEAN, "es", "inferior|inferiores|estupid*|asqueros*|suci*|vagos|vagas|criminales|delincuentes|ladrones|terroristas|violadores|no merecen|que se vayan|vuelvan a|odio a|los odio|las odio|apestan|pervertidos|primitivos|invaden|invadiendo|"
		"a la cocina|enfermos|mentirosos|codiciosos|tontas|inutiles"),
	W(DEMEAN, "pt", "inferior|inferiores|burr*|nojent*|suj*|preguicos*|criminosos|bandidos|ladroes|terroristas|estupradores|nao merecem|voltem para|voltar para|odeio|fedem|pervertidos|primitivos|invadindo|na cozinha|para a cozinha|doentes|"
		"mentirosos|aberracao|aberracoes|inuteis|vagabundos"),
	W(DEMEAN, "it", "inferiori|inferiore|stupid*|schifos*|sporc*|pigri|criminali|delinquenti|ladri|terroristi|stupratori|non meritano|tornino|tornatene|tornatevene|odio|fanno schifo|puzzano|pervertiti|primitivi|invadono|invadendo|in cucina|malati|"
		"bugiardi|avidi|sanguinari|incapaci"),
	W(THREAT, "en", "i will|i'll|i'm going to|i am going to|gonna|im going to|i want to|i wanna|we will|we'll|we are going to|going to|i swear|i should|i hope someone|somebody should|someone should|ill"),
	W(THREAT, "de", "ich werde|ich werd|wir werden|ich will|ich mochte|ich schwore|ich komme|wir kommen|ich mach|ich bring|ich schlag*|ich hau|jemand sollte|ich brech*|ich stech*"),
	W(THREAT, "fr", "je vais|on va|nous allons|je veux|je voudrais|je jure|j'ai envie de|quelqu'un devrait|je te"),
	W(THREAT, "es", "voy a|vamos a|quiero|te voy a|os voy a|juro que|alguien deberia|te vamos a"),
	W(THREAT, "pt", "eu vou|vou|vamos|quero|juro que|alguem deveria|alguem devia"),
	W(THREAT, "it", "ti|vi|sto per|voglio|giuro che|qualcuno dovrebbe|andremo a|verro|vengo"),
	W(YOU, "", "you|your|u|him|her|them|his|their|everyone|everybody|ya|dich|dir|dein|deine|euch|ihn|sie|ihm|alle|te|toi|ton|ta|vous|vos|lui|leur|eux|tous|ti|tu|os|le|lo|la|los|las|a todos|voce|voces|vc|ele|ela|eles|todos|tutti|voi|lui|lei|loro|tuo|tua"),
	W(WISH_DEATH, "en", "kill yourself|kys|go die|hope you die|you should die|you deserve to die|drop dead|die in a fire|go hang yourself|hang yourself|end yourself|i will kill you|i'll kill you|gonna kill you|going to kill you|i'm gonna kill|"
		"you will die|you're dead|you are dead|watch your back|i know where you live|hope you get cancer|slit your throat|rot in hell|burn in hell|beat you to|smash your face|break your neck|break your legs|break your bones|hunt you down|"
		"make you suffer|rip your|cut your throat|put a bullet|jump off a bridge|neck yourself|better off dead|hope you get hit|hope you choke|wish you were dead|i want you dead|bleach"),
	W(WISH_DEATH, "de", "bring dich um|bringe dich um|bring euch um|geh sterben|stirb|verrecke|verreck|hang dich auf|erhang dich|ich toete dich|ich tote dich|umbringen werde ich|du sollst sterben|du gehorst tot|dich umbringen|euch umbringen|"
		"mach dich kalt|mache dich kalt|schlag dich tot|schlage dich tot|dich fertig|stech dich ab|dich abstechen|ich weiss wo du wohnst|ich weiss, wo du wohnst|schmor in der holle|hoffe du stirbst|hoffe, du stirbst|spring von|brech dir|breche dir|"
		"fresse polieren|dein genick|die zahne aus|knall dich ab"),
	W(WISH_DEATH, "fr", "va crever|creve|va mourir|va te pendre|pends-toi|suicide-toi|tue-toi|tuez-vous|je vais te tuer|te tuer|vous tuer|je vais te crever|j'espere que tu meurs|j'espere que tu vas mourir|tu merites de mourir|tu devrais mourir|"
		"je sais ou tu habites|casser la gueule|peter la gueule|peter les dents|briser les os|t'egorger|te buter|brule en enfer|jette-toi|te faire la peau|te defoncer|vais te frapper|te casser"),
	W(WISH_DEATH, "es", "matate|muerete|ojala te mueras|ojala mueras|ojala te mates|te voy a matar|voy a matarte|os voy a matar|ahorcate|suicidate|mereces morir|deberias morir|deberias matarte|se donde vives|te voy a romper|romperte|partir la cara|"
		"partirte|pudrete|arde en el infierno|vas a morir|te voy a reventar|tirate de|te voy a destrozar|ojala te atropelle*|te voy a rajar|deberias morirte"),
	W(WISH_DEATH, "pt", "se mata|se mate|mate-se|vai morrer|morra|morre logo|vou te matar|vou matar voce|tomara que morra|espero que voce morra|espero que morra|merece morrer|devia morrer|deveria morrer|se enforca|enforque-se|sei onde voce mora|"
		"quebrar a sua cara|quebrar tua cara|quebrar sua cara|te quebrar|apodreca|queime no inferno|se joga|vou acabar com voce|vou te arrebentar|vou te pegar|vou te esfaquear|te encher de porrada"),
	W(WISH_DEATH, "it", "ammazzati|ucciditi|crepa|devi morire|impiccati|spero che tu muoia|spero che muori|spero tu muoia|ti ammazzo|ti uccido|ti uccidero|ti ammazzero|vi ammazzo|meriti di morire|dovresti morire|buttati|so dove abiti|ti spacco|"
		"ti spezzo|ti rompo|marcisci|brucia all'inferno|ti faccio fuori|ti sgozzo|muori|ti faccio a pezzi|ti distruggo|sei morto|gettati"),
	W(YOU_ARE, "", "you are|you're|youre|u r|ur|you absolute|you little|you fucking|you stupid|such an|such a|what an|what a|are you|are all|she is|he is|they are|she's|he's|they're|nothing but|du bist|ihr seid|sie sind|du|er ist|sie ist|so ein|so eine|"
		"was fur ein|tu es|t'es|vous etes|il est|elle est|ils sont|espece de|espece d'|quel|quelle|bande de|pauvre|eres|sois|son|es un|es una|menudo|pedazo de|vaya|voce e|vc e|es um|seu|sua|voces sao|ele e|ela e|eles sao|sei|siete|sei un|sei una|lui e|lei e|"
		"sono|razza di|pezzo di|che"),
	W(INSULT, "en", "idiot|idiots|moron|morons|worthless|pathetic|scum|retard|retarded|bitch|whore|slut|loser|dumbass|dumb|asshole|bastard|bastards|cunt|faggot|fag|dickhead|imbecile|disgrace|waste of space|waste of air|waste of oxygen|piece of garbage|"
		"piece of trash|good for nothing|good-for-nothing|useless|brainless|cretin|pig|freak|ugly|fat pig|disgusting|stupid|failure|clown|nobody|filthy|degenerate|vermin|parasite|twat|wanker|prick|jackass|braindead|brain-dead|halfwit|trash|nigger*|"
		"kike|spic|tranny|chink|paki|towelhead"),
	W(INSULT, "de", "idiot|idioten|idiotin|trottel|vollidiot|volltrottel|schlampe|hure|nutte|arsch|bastard|wichser|versager|versagerin|abschaum|dummkopf|schwachkopf|missgeburt|spasti|behindert|hasslich|wertlos|erbarmlich|dumm|depp|spast|fotze|penner|"
		"drecksau|sau|schwein|miststuck|mistkerl|loser|nichtsnutz|schwuchtel|kanake|neger|vollpfosten|hirnlos*|armselig|lacherlich|nichts wert|ekelhaft|widerlich|dreckstuck|nutzlos|blod|blode|bescheuert"),
	W(INSULT, "fr", "idiot|idiote|idiots|imbecile*|cretin*|abruti*|debile*|connard*|connasse|con|conne|salope|pute|batard|ordure|minable|pathetique|rate|dechet|nul|nulle|moche|grosse vache|stupide|stupides|bouffon|bete|gros lard|raclure|merdeux|pede|"
		"tapette|tarlouze|negre|bougnoule|youpin|crasseux|porc|degage|sous-merde|incapable|lamentable|inutile|tocard|trou du cul|sac a merde|degoutante|degoutant"),
	W(INSULT, "es", "idiota*|imbecil*|estupid*|gilipollas|cabron*|pendej*|tonto|tonta|inutil*|basura|escoria|puta|zorra|perra|bastard*|fracasad*|patetic*|asqueros*|gorda|gordo|fea|feo|subnormal*|retrasad*|mongol*|maricon*|mierda|imbeciles|payaso|"
		"cerdo|cerda|miserable|desgraciad*|malnacid*|lerdo|sudaca|negrata|don nadie|despreciable|vergüenza|verguenza|tarado|tarada|capullo"),
	W(INSULT, "pt", "idiota*|imbecil*|estupid*|burro|burra|otario|otaria|babaca|cretin*|retardad*|inutil*|lixo|escoria|puta|vadia|vagabund*|bastard*|fracassad*|patetic*|nojent*|gorda|gordo|feia|feio|viado|bicha|merda|palhaco|porco|porca|miseravel|"
		"desgracad*|arrombad*|corno|idiotas|verme|sapatao|macaco|trouxa|ridiculo|ridicula|burros|asqueros*"),
	W(INSULT, "it", "idiota|idioti|imbecille|imbecilli|stupido|stupida|cretin*|deficient*|scemo|scema|inutile|spazzatura|feccia|puttana|troia|zoccola|bastard*|fallit*|patetic*|schifos*|grassa|brutta|brutto|ritardat*|mongoloid*|frocio|froci|merda|"
		"pagliaccio|maiale|maiala|miserabile|disgraziat*|stronz*|coglion*|testa di|verme|nullita|schifo|ridicol*|buono a nulla|buona a nulla|vergogna|cesso|negro|terrone|handicappato"),
	W(SWEAR, "", "fuck you|fuck off|fuck yourself|piece of shit|motherfucker*|son of a bitch|shut the fuck up|shut your|go to hell|suck my|eat shit|stupid bitch|dumb bitch|you bitch|fucking idiot*|fucking moron*|fucking stupid|fucking retard*|fucking|"
		"hurensohn|hurensohne|wichser|fick dich|fickt euch|verpiss dich|verpisst euch|arschloch|arschlocher|halt die fresse|halt dein maul|halt die schnauze|leck mich|scheisskerl|drecksack|drecksau|fotze|missgeburt|fils de pute|fdp|encule*|va te faire|"
		"allez vous faire|nique ta|nique|ta gueule|ferme ta gueule|ferme-la|connard*|connasse|salope|salaud|sale pute|sale con|grosse merde|sac a merde|batard|hijo de puta|hija de puta|hijos de puta|vete a la mierda|que te jodan|jodete|"
		"chinga tu|chingate|puta madre|la concha|come mierda|callate la|pedazo de mierda|gilipollas|cabron|cabrones|maricon*|malparid*|hijueputa|filho da puta|filha da puta|filhos da puta|vai se foder|vao se foder|vai tomar no|va se foder|"
		"foda-se|cala a boca|cala essa boca|pau no cu|arrombado|desgracado|caralho|vai a merda|vai pro inferno|figlio di puttana|figli di puttana|vaffanculo|fanculo|testa di cazzo|pezzo di merda|stronzo|stronza|stronzi|coglione|coglioni|"
		"che cazzo|vai a cagare|brutta troia|porca puttana|vai all'inferno|chiudi quella|rotto in culo"),
	W(DESPAIR_TAUNT, "", "nobody likes you|no one likes you|everyone hates you|everybody hates you|nobody would miss you|no one would miss you|no one will miss you|nobody will miss you|world would be better without you|world is better without you|"
		"better off without you|you should never have been born|no one loves you|nobody loves you|waste of oxygen|niemand mag dich|niemand liebt dich|alle hassen dich|niemand wurde dich vermissen|niemand wird dich vermissen|besser ohne dich|"
		"ware die welt besser|nie geboren|personne ne t'aime|tout le monde te deteste|personne ne te regrettera|mieux sans toi|jamais du naitre|tu ne sers a rien|tu ne vaux rien|nadie te quiere|todos te odian|todo el mundo te odia|"
		"nadie te va a extranar|nadie te echara de menos|mejor sin ti|no vales nada|no sirves para nada|nunca debiste nacer|ninguem gosta de voce|ninguem te ama|todos te odeiam|todo mundo te odeia|ninguem vai sentir|melhor sem voce|"
		"voce nao vale nada|nao serve para nada|nao serve pra nada|nunca devia ter nascido|nessuno ti vuole|nessuno ti ama|tutti ti odiano|nessuno sentira la tua|nessuno sentirebbe|meglio senza di te|non vali niente|non vali nulla|"
		"non servi a niente|non servi a nulla|non dovevi nascere"),

	/* ======================= harm ============================================================= */
	W(HOW_TO, "en", "how to|how do i|how can i|how could i|how would i|how would one|how does one|how can someone|how do you|how can you|instructions|steps|step by step|step-by-step|recipe|guide|tutorial|teach me|explain how|show me|tell me|give me|"
		"walk me through|help me|i want to|i need to|i need|i'd like to|best way|easiest way|ways to|where can i|where do i|where to|provide|plan|tips|methods|what is the best|what's the best|can you|what do i need|let me know how|i plan to|i'm planning|"
		"write|generate|create|fastest way|trick|tricks|way to|describe"),
	W(HOW_TO, "de", "wie kann ich|wie konnte ich|wie baue|wie bau|wie mache|wie stelle|wie bekomme|wie komme|wie man|wie stellt|wie baut|wie macht|wie hacke|wie kann man|wie|anleitung|schritt fur schritt|rezept|zeig mir|zeige mir|erklar mir|erklare mir|"
		"hilf mir|ich will|ich mochte|ich brauche|wo kann ich|wo bekomme|gib mir|sag mir|beste methode|beste weg|tipps|plan|schreib*|erstelle|verrate mir|nenne mir|ich plane|womit"),
	W(HOW_TO, "fr", "comment|recette|guide|etapes|etape par etape|explique*|expliquez|aide-moi|aidez-moi|montre-moi|donne-moi|donnez-moi|ecris|redige|je veux|je voudrais|j'ai besoin|ou acheter|ou puis-je|ou trouver|apprends-moi|dis-moi|dites-moi|"
		"meilleure facon|meilleur moyen|moyen de|mode d'emploi|plan|conseils|astuces|methode|indique|je compte|je souhaite|tutoriel"),
	W(HOW_TO, "es", "como|receta|pasos|paso a paso|guia|explica*|ayudame|escribe|escribeme|quiero|necesito|donde comprar|donde puedo|donde consigo|dime|dame|ensename|mejor manera|mejor forma|instrucciones|consejos|plan|trucos|metodo|tutorial|me gustaria|"
		"muestrame|planeo|forma de|manera de"),
	W(HOW_TO, "pt", "como|receita|passo a passo|passos|guia|explique*|explica|me ajude|me ajuda|ajude-me|escreva|escreve|quero|preciso|onde comprar|onde posso|onde consigo|me ensine|me ensina|ensine-me|me diga|me de|instrucoes|dicas|plano|melhor forma|"
		"melhor maneira|melhor jeito|jeito de|tutorial|truques|gostaria|metodo"),
	W(HOW_TO, "it", "come|ricetta|passaggi|passo dopo passo|passo passo|passo per passo|guida|spiegami|spiega|aiutami|scrivi*|voglio|vorrei|mi serve|ho bisogno|dove comprare|dove posso|dove trovo|dimmi|insegnami|dammi|istruzioni|consigli|piano|miglior modo|"
		"modo migliore|modo per|metodo|trucchi|tutorial|elencami|descrivimi|mostrami"),
	W(MAKE, "en", "make|making|build|building|construct|assemble|create|synthesi*|produce|manufactur*|cook|cooking|brew|buy|get|obtain|acquire|detonate|plant|prepare|mix|extract|culture|weaponize|weaponise|set off|smuggle|use|hide|carry out|plan|"
		"commit|recipe|blueprint|blueprints|home-made|homemade|turn into|convert|print|modify|planning|organize"),
	W(MAKE, "de", "bau|baue|bauen|baut|herstell*|stelle ich|stellt man|stell ich|mache ich|machen|macht man|bastel*|konstruier*|synthetisier*|kaufen|besorg*|misch*|zund*|bauanleitung|koch*|gewinne|begehen|plane|planen|verub*|selbstgebaut*|selbst|durchfuhr*|veranstalt*"),
	W(MAKE, "fr", "fabriqu*|construi*|prepar*|synthetis*|assembl*|faire|faire soi-meme|achet*|procurer|obtenir|cuisin*|produire|creer|fais|planifi*|commettre|organis*|poser|declencher|artisanale|artisanal|maison|realiser|conception"),
	W(MAKE, "es", "hacer|hago|hace|fabric*|constru*|prepar*|sintetiz*|armar|armo|comprar|conseguir|elabor*|mezcl*|cocin*|producir|planear|planificar|cometer|montar|detonar|caser*|organizar|crear|obtener|perpetrar"),
	W(MAKE, "pt", "fazer|faco|faz|fabric*|constru*|prepar*|sintetiz*|montar|monto|comprar|conseguir|produz*|mistur*|cozinh*|planejar|cometer|detonar|caseir*|organizar|criar|obter|realizar|executar"),
	W(MAKE, "it", "fare|faccio|fabbric*|costru*|prepar*|sintetizz*|assembl*|comprare|procurar*|creare|ottenere|produrre|produco|mescol*|cucin*|pianific*|compiere|commettere|organizzare|detonare|artigianale|in casa|realizzare|fatta in|piazzare"),
	W(DETAIL, "", "step by step|step-by-step|exact|exactly|detailed|in detail|ingredients|at home|homemade|home-made|household|from scratch|quantities|proportions|precise|graphic|graphically|schritt fur schritt|genau*|detailliert*|zutaten|zu hause|zuhause|"
		"hausmittel*|haushalts*|selbstgebaut*|mengen|ausfuhrlich*|drastisch*|etape par etape|exact*|detaille*|en detail|ingredients|a la maison|chez moi|maison|quantites|precis*|graphique|paso a paso|exact*|detallad*|con detalle|en detalle|ingredientes|"
		"en casa|caser*|cantidades|precis*|passo a passo|exat*|detalhad*|com detalhes|em detalhes|em casa|caseir*|quantidades|passo dopo passo|passo passo|passo per passo|esatt*|dettagliat*|nei dettagli|nel dettaglio|ingredienti|in casa|fatt* in casa|"
		"quantita|precis*|anleitung|recipe|rezept|recette|receta|receita|ricetta|tutorial"),
	W(WEAPON, "en", "bomb|bombs|pipe bomb*|explosive|explosives|explosive device*|molotov*|grenade|grenades|nerve agent*|nerve gas|sarin|mustard gas|vx gas|ricin|anthrax|napalm|thermite|tatp|detonator*|ied|ieds|chemical weapon*|biological weapon*|bioweapon*|"
		"chlorine gas|nitroglycerin|c4|gunpowder|toxic gas|poison gas|dirty bomb*|car bomb*|nail bomb*|incendiary|nuclear weapon*|weaponized|botulinum|smallpox|deadly virus|deadly pathogen|pathogen"),
	W(WEAPON, "de", "bombe|bomben|rohrbombe*|sprengstoff*|sprengsatz|sprengsatze|sprengkorper|nervengas|nervengift*|giftgas|senfgas|rizin|milzbrand|chemiewaffe*|biowaffe*|chemische waffe*|biologische waffe*|brandsatz*|brandbombe*|molotow*|molotov*|"
		"handgranate*|nagelbombe*|autobombe*|zunder|sprengfalle*|schwarzpulver|kampfstoff*|sprengvorrichtung"),
	W(WEAPON, "fr", "bombe|bombes|explosif|explosifs|engin explosif|gaz neurotoxique|gaz sarin|gaz moutarde|gaz toxique|arme chimique|armes chimiques|arme biologique|armes biologiques|cocktail molotov|cocktails molotov|ricine|detonateur*|engin incendiaire|"
		"agent neurotoxique|poudre noire|voiture piegee|colis piege"),
	W(WEAPON, "es", "bomba|bombas|explosivo|explosivos|artefacto explosivo|coctel molotov|cocteles molotov|gas nervioso|gas toxico|gas venenoso|gas mostaza|arma quimica|armas quimicas|arma biologica|armas biologicas|ricina|detonador*|agente nervioso|"
		"polvora|coche bomba|antrax"),
	W(WEAPON, "pt", "bomba|bombas|explosivo|explosivos|artefato explosivo|coquetel molotov|gas nervoso|gas toxico|gas venenoso|gas mostarda|arma quimica|armas quimicas|arma biologica|armas biologicas|ricina|detonador*|agente nervoso|polvora|"
		"carro-bomba|antraz"),
	W(WEAPON, "it", "bomba|bombe|ordigno|ordigni|esplosivo|esplosivi|gas nervino|gas tossico|gas velenoso|iprite|arma chimica|armi chimiche|arma biologica|armi biologiche|bottiglia molotov|bottiglie molotov|molotov|ricina|detonatore|detonatori|"
		"polvere da sparo|autobomba|antrace|agente nervino"),
	W(ARMS, "", "gun|guns|firearm*|rifle|rifles|pistol|pistols|handgun*|silencer*|suppressor|ghost gun*|ammunition|automatic weapon*|machine gun*|weapon|weapons|shotgun|pistole|pistolen|gewehr|schusswaffe*|waffe|waffen|schalldampfer|munition|"
		"pistolet|fusil|arme a feu|armes a feu|arme|armes|silencieux|pistola|pistolas|rifle|arma de fuego|armas de fuego|armas|arma|silenciador|municion|arma de fogo|armas de fogo|municao|espingarda|fucile|fucili|arma da fuoco|armi da fuoco|armi|"
		"silenziatore|munizioni|kalaschnikow|kalashnikov|ak-47|ar-15"),
	W(DRUG, "", "meth|methamphetamine*|crystal meth|crystal|heroin|cocaine|crack cocaine|fentanyl|mdma|lsd|ghb|dmt|amphetamine*|opium|date rape drug|roofies|roofie|rohypnol|ketamine|hard drugs|illegal drugs|drogen|kokain|metamphetamin*|methamphetamin|"
		"ko-tropfen|k.o.-tropfen|liquid ecstasy|drogues|cocaina|metanfetamina*|fentanilo|drogas|fentanil|cocaina|droghe|droga|metanfetamine|anfetamine|anfetamina*|drogue du violeur|cocaine|methamphetamine|extasis|ecstasy"),
	W(SELL, "", "sell|selling|smuggle|smuggling|deal|dealing|traffic|buy|verkauf*|schmuggel*|dealen|vertick*|kaufen|vendre|trafiquer|ecouler|acheter|faire passer|vender|venda|traficar|contrabande*|pasar|comprar|contrabande*|spacciare|vendere|smerciare|"
		"contrabband*|comprare|dark web|darknet|darkweb|deep web"),
	W(MALWARE, "", "ransomware|keylogger*|key logger*|trojan|trojans|computer virus*|malware|rootkit*|botnet*|ddos|spyware|zero-day|zero day|computer worm*|backdoor|credential stealer|password stealer|infostealer|credit card skimmer|brute force|"
		"schadsoftware|erpressungstrojaner|verschlusselungstrojaner|computervirus|computerviren|computerwurm|trojaner|schadprogramm*|erpressersoftware|ddos-angriff|rancongiciel*|logiciel malveillant|logiciels malveillants|logiciel espion|virus informatique|"
		"cheval de troie|enregistreur de frappe*|maliciel|virus informatico|troyano|troyanos|programa malicioso|software malicioso|codigo malicioso|virus de computador|programa espiao|virus informatici|programma malevolo|cavallo di troia|"
		"codice malevolo|software malevolo|malicious code|malicious script|malicious software|exploit code|script malveillant|script malicioso|script malevolo"),
	W(WRITE_CODE, "", "write|writes|writing|code|develop|build|make|create|creating|generate|deploy|launch|spread|give me|program|script|craft|draft|compose|help me|run|infect*|distribute|schreib*|programmier*|erstell*|entwickl*|verbreit*|bau|baue|bauen|entwirf|"
		"verfass*|gib mir|starte|starten|ecris|ecrire|ecrivez|coder|code-moi|code|cree|creer|developpe*|lance|lancer|redige|rediger|programme|programmer|diffuser|fabrique*|escribe|escribeme|escribir|crea|crear|programa|programar|desarrolla*|lanzar|redacta*|"
		"haz|hazme|genera|difundir|escreva|escreve|escrever|crie|criar|programe|desenvolv*|lancar|redija|faca|fazer|gere|espalhar|scrivi*|scrivere|crea|creare|creami|programma|programmare|svilupp*|lanciare|lancia|redigi|genera|generami|diffondere|prepara"),
	W(PHISHING, "", "phishing|phishing email*|phishing page*|phishing site*|phishing mail*|phishing message*|fake login page|fake bank|fake email from|impersonating a bank|pretending to be their bank|pretend to be their bank|pretending to be from|spear phishing|"
		"phishing-mail*|phishing-seite*|gefalschte bank*|gefalschte login*|im namen der bank|hameconnage|fausse page de connexion|faux mail|faux courriel|faux site|se faire passer pour|correo falso|pagina falsa|suplant*|sitio falso|pagina falsa|site falso|"
		"e-mail falso|email falso|se passando por|se passar por|finta mail|falsa mail|finta email|pagina falsa|sito falso|sito fasullo|spacciandomi|fingendomi|smishing|scam email*|scam message*|scam"),
	W(HACK, "", "hack|hacking|hacken|hacke|break into|breaking into|crack|cracking|gain access|get access|get into|take over|log into|hijack|access|steal|brute force|brute-force|guess|einhack*|knacke|knacken|zugriff|zugang|eindringen|ubernehmen|pirater|pirate|"
		"piratage|craquer|acceder|hacker|entrer dans|m'introduire|hackear|hackeo|piratear|entrar|acceder|invadir|invado|hackear|acessar|roubar|hackerare|hackero|craccare|violare|entrare|accedere|bucare|rubare|forzare|cracker"),
	W(ACCOUNT, "", "account|accounts|wifi|wi-fi|facebook|instagram|whatsapp|gmail|email|e-mail|inbox|phone|bank|webcam|server|servers|database|network|password|passwords|iphone|snapchat|computer|laptop|website|router|messages|konto|konten|wlan|handy|"
		"passwort|datenbank|netzwerk|rechner|postfach|nachrichten|compte|comptes|telephone|mot de passe|ordinateur|reseau|serveur|messagerie|cuenta|cuentas|correo|telefono|contrasena|movil|celular|red|ordenador|mensajes|servidor|conta|contas|"
		"telefone|senha|rede|computador|mensagens|sistema|account|profilo|telefono|conto|posta|rete|messaggi|wi-fi|cellulare|system"),
	W(OTHERS, "", "my ex|my ex-girlfriend|my ex-boyfriend|my ex-wife|my ex-husband|ex's|ex-girlfriend*|ex-boyfriend*|ex-wife*|neighbor|neighbour|neighbors|neighbours|neighbor's|neighbour's|someone|someone's|someone else's|somebody|girlfriend*|boyfriend*|wife*|"
		"husband*|boss|boss's|coworker|coworker's|colleague|colleague's|classmate*|his|her|their|people's|other people's|another person's|a stranger|stranger's|strangers|company's|school's|victim*|my roommate*|teacher*|a person|without permission|"
		"without their|without his|without her|elderly|old people|meiner ex|meines ex|meine ex|mein ex|nachbarn|nachbar|nachbarin|jemand*|fremd*|anderer|anderen|freundin|freund|ehefrau|chef|chefs|kollegen|kollegin|mitschuler*|senioren|rentner*|"
		"mon ex|ma ex|ex-copine|ex-copain|voisin|voisine|quelqu'un|autrui|ma copine|mon copain|ma femme|mon mari|patron|collegue|personnes agees|d'autres|des gens|camarade|mi ex|vecino|vecina|vecinos|alguien|mi novia|mi novio|mi mujer|mi esposa|mi marido|"
		"otra persona|mi jefe|companero|companera|ajena|ajenas|de otros|ancianos|personas mayores|minha ex|meu ex|vizinho|vizinha|alguem|namorada|namorado|outra pessoa|outras pessoas|minha esposa|meu marido|meu chefe|colega|idosos|terceiros|mio ex|mia ex|"
		"della mia ex|vicino|vicina|vicini|qualcuno|altra persona|altre persone|altrui|fidanzata|fidanzato|mia moglie|mio marito|mio capo|collega|anziani|qualcun altro|di altri"),
	W(PERSON, "en", "someone|somebody|a person|people|my wife|my husband|neighbor|neighbour|my neighbor*|my neighbour*|my boss|children|a child|a kid|him|her|them|my ex|my coworker|my colleague|a man|a woman|crowd|crowds|my girlfriend|my boyfriend|my parents|"
		"my mother|my father|my brother|my sister|humans|human|a human being|classmates|victim|victims|police officer*|politician|president|my roommate|teacher|my rival|an animal|a cat|a dog|dogs|cats|a girl|a boy|stranger*|guests|coworkers|audience|passengers|building|school|"
		"subway|stadium"),
	W(PERSON, "de", "jemand|jemanden|jemandem|einen menschen|menschen|meine frau|meinen mann|nachbarn|meinen chef|kinder|ein kind|ihn|leute|mein ex|meine ex|meinen ex|kollegen|meine eltern|meinen bruder|meine schwester|opfer|polizisten|politiker|"
		"mitschuler|lehrer|meine freundin|meinen freund|person|mitbewohner|einen hund|eine katze|hund|katze|schule|passanten|gaste"),
	W(PERSON, "fr", "quelqu'un|une personne|des gens|gens|ma femme|mon mari|mon voisin|voisin|voisine|mon chef|mon patron|enfants|un enfant|mon ex|collegue|mes parents|mon frere|ma soeur|victime|victimes|policier*|politicien*|camarades|professeur|ma copine|"
		"mon copain|un homme|une femme|foule|personnes|un etre humain|colocataire|un chien|un chat|chien|chat|ecole|passants"),
	W(PERSON, "es", "alguien|una persona|gente|personas|mi mujer|mi esposa|mi marido|vecino|vecina|mi jefe|ninos|un nino|mi ex|companero|companera|mis padres|mi hermano|mi hermana|victima|victimas|policia|politico|profesor|mi novia|mi novio|un hombre|"
		"una mujer|multitud|ser humano|perro|gato|escuela|mi suegra"),
	W(PERSON, "pt", "alguem|uma pessoa|pessoas|minha esposa|minha mulher|meu marido|vizinho|vizinha|meu chefe|criancas|uma crianca|meu ex|minha ex|colega|meus pais|meu irmao|minha irma|vitima|vitimas|policial|politico|professor|minha namorada|meu namorado|"
		"um homem|uma mulher|multidao|ser humano|cachorro|gato|escola|minha sogra"),
	W(PERSON, "it", "qualcuno|una persona|persone|gente|mia moglie|mio marito|vicino|vicina|mio capo|bambini|un bambino|mio ex|mia ex|collega|miei genitori|mio fratello|mia sorella|vittima|vittime|poliziotto|politico|professore|fidanzata|fidanzato|"
		"un uomo|una donna|folla|essere umano|cane|gatto|scuola|suocera|coinquilino"),
	W(UNDETECTED, "en", "without getting caught|without being caught|not get caught|don't get caught|get away with|getting away with|got away with|without being detected|undetected|undetectable|untraceable|untraced|without a trace|leave no trace|without leaving|without evidence|"
		"avoid detection|evade detection|evades antivirus|evade antivirus|bypass antivirus|without anyone noticing|without anyone knowing|without being noticed|unnoticed|so nobody notices|so no one notices|never be found|without them knowing|without her knowing|"
		"without him knowing|without their knowledge|without his knowledge|without her knowledge|look like an accident|looks like an accident|look natural|avoid the police|avoiding the police|past security|past airport|past customs|through customs|"
		"through airport|no background check|without a license|without a licence|without a background check|without a serial number|no serial number|cover up|hide the body|dispose of a body|hide a body|get rid of a body|get rid of the body|not be detected|"
		"secretly|without my parents|so my parents|from my parents|metal detector*|without triggering|without alerting|nobody will know|no one will know"),
	W(UNDETECTED, "de", "ohne erwischt|nicht erwischt|ohne spuren|spurlos|keine spuren|unbemerkt|unentdeckt|ohne dass es jemand|ohne dass jemand|ohne dass sie|ohne dass er|ohne dass ich|ohne entdeckt|ohne gefasst|heimlich|nicht entdeckt|nicht nachweisbar|"
		"nicht zuruckverfolg*|wie ein unfall|wie einen unfall|an der polizei vorbei|durch den zoll|durch die kontrolle|am zoll vorbei|ohne wissen|leiche verschwinden|leiche los|leiche entsorgen|ohne waffenschein|ohne ihr wissen|ohne sein wissen|"
		"ohne seriennummer|vor meinen eltern"),
	W(UNDETECTED, "fr", "sans se faire prendre|sans me faire prendre|sans etre pris|sans etre attrape|sans laisser de trace*|sans trace|sans qu'on|sans que personne|sans etre detecte*|sans qu'il|sans qu'elle|sans qu'ils|a son insu|a leur insu|indetectable*|"
		"intracable*|sans me faire reperer|sans se faire reperer|passer pour un accident|croire a un accident|en douce|discretement|secretement|sans permis|a la douane|passer la douane|cacher un corps|se debarrasser d'un corps|sans declencher|"
		"sans que la police|sans etre vu|sans eveiller|introuvable|echapper a la police|cacher a mes parents"),
	W(UNDETECTED, "es", "sin que me atrapen|sin que me descubran|sin que me pillen|sin que me cojan|sin dejar rastro*|sin dejar huella*|sin que nadie|sin ser detectad*|sin que se de cuenta|sin que se den cuenta|sin que se entere|sin ser descubiert*|"
		"sin que lo detecte*|indetectable*|irrastreable*|imposible de rastrear|parezca un accidente|a escondidas|en secreto|sin licencia|por la aduana|deshacerme de un cuerpo|esconder un cadaver|ocultar un cuerpo|sin su consentimiento|"
		"sin que lo sepa|sin que la policia|sin que ella|sin que el|sin levantar sospechas|sin activar|sin que mis padres|sin ser visto|salirse con la|salirme con la"),
	W(UNDETECTED, "pt", "sem ser pego|sem ser pega|sem ser preso|sem que me peguem|sem deixar rastro*|sem deixar vestigio*|sem deixar pistas|sem que ninguem|sem ninguem|sem ser descobert*|sem ser detectad*|sem que ela|sem que ele|sem que eles|"
		"sem levantar suspeita*|indetectave*|irrastreave*|nao rastreave*|pareca um acidente|parecer um acidente|parecer acidente|escondido|secretamente|sem licenca|pela alfandega|esconder um corpo|esconder o corpo|sumir com|sem consentimento|"
		"sem o conhecimento|sem que a policia|sem que meus pais|escondido dos meus pais|sem acionar|sem ser visto|impune"),
	W(UNDETECTED, "it", "senza farmi scoprire|senza essere scopert*|senza lasciare tracc*|senza lasciar tracc*|senza che nessuno|senza farsi scoprire|senza essere beccat*|senza farmi beccare|senza essere pres*|senza che lei|senza che lui|"
		"senza che se ne accorg*|senza destare sospetti|farla franca|senza essere rilevat*|senza essere individuat*|non rilevabil*|irrintracciabil*|non rintracciabil*|sembrare un incidente|sembri un incidente|di nascosto|segretamente|"
		"senza licenza|senza porto|alla dogana|nascondere un corpo|nascondere un cadavere|sbarazzarmi|sbarazzarsi|far sparire|senza il suo|a sua insaputa|a loro insaputa|senza che la polizia|senza attivare|senza che i miei|senza essere vist*"),
	W(HARM, "en", "kill|killing|murder|murdering|poison|poisoning|hurt|stab|stabbing|strangle|suffocate|assassinat*|kidnap|kidnapping|abduct*|drug|drugging|rape|torture|torturing|attack|burn down|set fire|arson|rob|robbing|blackmail*|extort*|beat up|harm|shoot|injure|"
		"destroy|break|run over|smother|sabotage|cut the brakes|threaten|beat|smash|crush|choke|burn|bomb|drown|maim|cripple|push|dispose of a body|hide a body|bury"),
	W(HARM, "de", "toten|totet|tote|umbring*|umzubringen|ermord*|vergift*|entfuhr*|erpress*|ausraub*|auszurauben|uberfall*|brandstift*|anzund*|verletz*|erwurg*|ersteche*|erstick*|folter*|vergewaltig*|betaub*|verprugel*|angreif*|erschiess*|bedroh*|"
		"sabotier*|zusammenschlag*|schlagen|verbrennen|mord|abstech*"),
	W(HARM, "fr", "tuer|assassin*|empoisonn*|enlever|kidnapp*|cambriol*|faire chanter|tortur*|violer|incendi*|poignard*|etrangl*|etouff*|droguer|agresser|blesser|attaquer|braquer|menacer|frapper|mettre le feu|saboter|meurtre|brul*|ecraser|abattre|kidnapping|"
		"extorqu*|racket*|rackett*"),
	W(HARM, "es", "matar|mato|mata|asesin*|envenen*|secuestr*|chantaje*|tortur*|violar|incendi*|extorsion*|apunal*|estrangul*|asfixi*|drogar|agredir|herir|atacar|atracar|amenazar|golpear|quemar|sabotear|homicidio|lastimar|hacer dano|acuchill*|prender fuego"),
	W(HARM, "pt", "matar|mato|assassin*|envenen*|sequestr*|chantage*|tortur*|estupr*|incendi*|extorqu*|esfaque*|estrangul*|asfixi*|dopar|drogar|agredir|ferir|machucar|atacar|assaltar|ameacar|bater|queimar|sabotar|homicidio|tocar fogo|colocar fogo|por fogo"),
	W(HARM, "it", "uccid*|ammazz*|assassin*|avvelen*|rapire|rapisco|rapina*|ricatt*|tortur*|stupr*|incendi*|estorc*|estorsione|accoltell*|strangol*|soffoc*|drogare|aggred*|ferire|attaccare|minacciare|picchi*|bruciare|sabot*|omicidio|far male|dare fuoco|"
		"sequestr*|eliminare"),
	W(STEAL, "", "steal|stealing|stolen credit|shoplift*|rob a|rob the|pickpocket*|embezzle*|defraud|scam|scamming|swindle|credit card fraud|insurance fraud|identity theft|steal someone's identity|hotwire|hot-wire|pick a lock|pick locks|clone a credit|"
		"clone credit|card skimm*|skim credit|evade taxes|tax evasion|cheat on taxes|burglar*|burgle|pyramid scheme|ponzi scheme|stehle*|stehlen|klauen|klaue|ladendiebstahl|betrug*|betrieg*|steuern hinterzieh*|steuerhinterziehung|kreditkartenbetrug|"
		"identitatsdiebstahl|unterschlag*|einbrech*|einbruch|einzubrechen|kurzschliess*|abzock*|aufbrechen|voler|vol a l'etalage|voler une|escroqu*|arnaqu*|frauder|detourner|fraude fiscale|frauder le fisc|cambriol*|usurper|usurpation|crocheter|"
		"robar|robo|hurtar|estafar|estafa|defraudar|evadir impuestos|malversar|desfalcar|clonar tarjeta*|clonar una tarjeta|roubar|roubo|furtar|fraudar|golpe|aplicar golpes|enganar|sonegar|sonegacao|desviar|clonar cartao|clonar um cartao|clonar cartoes|"
		"arrombar|estelionato|rubare|furto|truffa*|frodare|frode|evadere le tasse|evadere|scassin*|taccheggi*|clonare carte|clonare una carta|svaligiare|raggirare|appropriarmi"),
	W(FORGE, "", "forge|forging|counterfeit*|fake|falsify|fabricate|falsche|falschen|gefalscht*|falsch|nachmach*|contrefaire|contrefait*|contrefacon|falsifi*|faux|fausse|fausses|fabriquer de faux|falsificar|falsifico|falsific*|falso|falsa|falsos|falsas|"
		"forjar|falsificar|contraffa*|falsare|falsi|false|fasull*"),
	W(PAPERS, "", "money|bills|banknotes|bank notes|currency|passport|passports|id card|ids|id|prescription*|diploma|degree certificate|driver's license|drivers license|driving licence|doctor's note|birth certificate|vaccination card|vaccine card|documents|"
		"geld|geldscheine|banknoten|reisepass|personalausweis|ausweis|ausweise|rezept|rezepte|impfpass|fuhrerschein|zeugnis|dokumente|euroscheine|billets|faux billets|passeport|carte d'identite|ordonnance|ordonnances|permis|papiers|documents|diplome|"
		"monnaie|billetes|dinero|moneda|pasaporte|dni|receta medica|recetas|carnet|licencia|documentos|titulo|dinheiro|notas|cedulas|passaporte|rg|identidade|receita medica|cnh|diploma|atestado|certificado|soldi|banconote|denaro|passaporto|"
		"carta d'identita|ricetta medica|ricette|patente|documenti|certificato|laurea"),
	W(LAUNDER, "", "launder|laundering|wash dirty|clean dirty|waschen|geldwasche|blanchi*|blanchir|lavar|blanquear|blanqueo|lavado|lavagem|lavo|riciclare|riciclaggio|ripulire|lavare"),
	W(MONEY, "", "money|cash|drug money|proceeds|geld|schwarzgeld|drogengeld|argent|argent sale|dinero|dinheiro|denaro|soldi|denaro sporco|bargeld"),
	W(POISON, "", "poison|poisons|cyanide|arsenic|ricin|strychnine|antifreeze|thallium|belladonna|nightshade|polonium|rat poison|lethal dose|untraceable poison|mit gift|das gift|ein gift|giftig*|zyankali|arsen|rattengift|tollkirsche|frostschutzmittel|poison|cyanure|arsenic|mort-aux-rats|"
		"veneno|cianuro|arsenico|matarratas|raticida|cianeto|veneno de rato|chumbinho|veleno|cianuro|arsenico|topicida|stricnina|thalium|digitalis"),
	W(SURVEIL, "", "spy on|spying on|stalk|stalking|track|secretly record|hidden camera|install spyware|read the messages|read messages|follow|listen in on|intercept|find out where|find where|dox|doxx|doxxing|home address|ausspionier*|stalke|stalken|"
		"nachstell*|uberwache|uberwachen|verfolge|mitlesen|abhoren|orten|bespitzel*|wohnort|espionner|espionne|suivre|pister|traquer|geolocaliser|lire les messages|adresse de|camera cachee|ecouter|harceler|espiar|espio|rastrear|acosar|acechar|leer los mensajes|"
		"camara oculta|localizar|seguir a|perseguir|espionar|perseguir|stalkear|ler as mensagens|camera escondida|descobrir onde|spiare|pedinare|rintracciare|perseguitare|leggere i messaggi|localizzare|telecamera nascosta|intercettare|stalkerare"),
	W(SELF_KILL, "en", "suicide|kill myself|killing myself|end my life|ending my life|take my own life|hang myself|end it all|take my life|don't want to live|do not want to live|want to die|wanna die|overdose on|lethal overdose|slit my wrists|cut my wrists|"
		"jump off a bridge|commit suicide|noose|painless death|die painlessly|way to die"),
	W(SELF_KILL, "de", "suizid|selbstmord|mich umbringen|mich umzubringen|mir das leben nehmen|mein leben beenden|meinem leben ein ende|mich erhangen|nicht mehr leben|will sterben|mochte sterben|schmerzlos sterben|schmerzfrei sterben|uberdosis|"
		"pulsadern|mich toten|schlinge|vor den zug"),
	W(SELF_KILL, "fr", "suicide|me suicider|me tuer|mettre fin a mes jours|mettre fin a ma vie|me pendre|en finir|envie de mourir|veux mourir|mourir sans douleur|surdose|overdose|m'ouvrir les veines|ne veux plus vivre|me donner la mort"),
	W(SELF_KILL, "es", "suicidio|suicidarme|suicidar|matarme|quitarme la vida|acabar con mi vida|terminar con mi vida|ahorcarme|quiero morir|no quiero vivir|morir sin dolor|sobredosis|cortarme las venas|acabar con todo"),
	W(SELF_KILL, "pt", "suicidio|me suicidar|me matar|tirar minha vida|tirar a minha vida|acabar com minha vida|acabar com a minha vida|me enforcar|quero morrer|nao quero mais viver|morrer sem dor|overdose|cortar os pulsos|acabar com tudo"),
	W(SELF_KILL, "it", "suicidio|suicidarmi|uccidermi|ammazzarmi|togliermi la vita|farla finita|porre fine alla mia vita|impiccarmi|voglio morire|non voglio piu vivere|morire senza dolore|overdose|tagliarmi le vene|finire la mia vita"),
	W(METHOD, "", "how|painless*|best way|easiest way|fastest way|method|methods|quickest|quick way|pills|how many|dose|dosage|lethal|least painful|which|step by step|ways|guaranteed|wie|schmerzlos*|schmerzfrei*|methode|methoden|tabletten|wie viele|dosis|"
		"todlich*|sichersten|schnellste*|welche|comment|indolore|sans douleur|methode|methodes|combien|cachets|medicaments|mortelle|moyen|quelle|quels|como|indoloro|sin dolor|metodo|metodos|cuantas|cuantos|pastillas|letal|dosis|manera|forma|cual|indolor|"
		"sem dor|quantos|quantas|remedios|comprimidos|dose|maneira|jeito|qual|quais|come|indolore|senza dolore|metodo|metodi|quante|quanti|pillole|pastiglie|letale|modo|quale|quali"),
	W(SELF_HARM, "", "self-harm|self harm|cut myself|cutting myself|hurt myself|hurting myself|harm myself|burn myself|starve myself|pro-ana|pro ana|thinspo|purge after|make myself throw up|make myself vomit|stop eating|ritzen|mich ritzen|mich selbst verletz*|"
		"mich verletzen|mich schneiden|selbstverletz*|mich zum erbrechen|mich aushungern|hungern|automutil*|me scarifier|me couper|me faire du mal|me blesser|me faire vomir|arreter de manger|scarification|autolesion*|cortarme|hacerme dano|lastimarme|"
		"provocarme el vomito|vomitar|dejar de comer|me cortar|me machucar|automutilacao|parar de comer|provocar vomito|me ferir|tagliarmi|farmi del male|autolesion*|smettere di mangiare|procurarmi il vomito|vomitare|ferirmi|anorexi*|anoressi*|magersucht|bulimi*"),
	W(CHILD, "", "child|children|kid|kids|minor|minors|underage|under-age|little girl*|little boy*|young girl*|young boy*|schoolgirl*|schoolboy*|teen|teens|teenage|teenager*|preteen*|toddler*|infant*|year-old girl|year-old boy|year old girl|year old boy|"
		"12-year-old|13-year-old|14-year-old|11-year-old|10-year-old|15-year-old|8-year-old|9-year-old|12 year old|13 year old|14 year old|10 year old|15 year old|kind|kinder|kindern|minderjahrig*|jahrige|jahriges|jahriger|jahrigen|schulmadchen|kleines madchen|"
		"kleine madchen|madchen|jugendliche*|enfant|enfants|mineur|mineure|mineurs|mineures|fillette*|petite fille|petit garcon|collegienne|adolescent*|ans|nino|nina|ninos|ninas|menor|menores|menor de edad|colegiala*|adolescente*|anos|crianca|criancas|"
		"menina|meninas|menino|meninos|menor de idade|bambino|bambina|bambini|bambine|minorenn*|minore|minori|ragazzina|ragazzino|ragazzine|adolescenti|anni|lolita*|loli|daughter|niece|student|pupil"),
	W(SEXUAL, "", "sexual|sexually|sex|sexy|nude|nudes|naked|erotic|erotica|seduce|seducing|groom|grooming|undress*|molest*|fondle|intercourse|arouse*|aroused|sexualized|sexuell*|nackt*|erotisch*|verfuhr*|sexfotos|missbrauch*|nacktbilder|nacktfotos|ausziehen|"
		"sexuel*|sexe|nu|nue|nus|nues|erotique*|seduire|deshabill*|abuser|attouchement*|sexuales|sexo|desnud*|erotic*|seducir|desvest*|abusar|tocamientos|sexuais|nua|nuas|pelad*|erotic*|seduzir|despir|sensual|sessual*|sesso|nudo|nuda|nudi|nude|erotic*|"
		"sedurre|spogliare|adescare|molestare|abusare"),
	W(PORN, "", "porn|porno|pornography|pornographic|child porn*|csam|kinderporno*|pedopornograph*|pedo|pedophil*|padophil*|pornographi*|pornografi*|pornografia|pornografico|pornografica|pornographique|hentai|explicit sex*|sex scene*|sexszene*|scene de sexe|"
		"escena sexual|cena de sexo|scena di sesso|rape fantasy|nudes|nacktbilder|nacktfotos|fotos desnud*|fotos nuas|foto nude|explicit images|sexually explicit|explicit story"),
	W(GORE, "", "torture|torturing|dismember*|mutilat*|behead*|decapitat*|disembowel*|skin alive|skinning alive|flay*|gut him|gut her|snuff|eviscerat*|cannibal*|bleeding to death|slowly kill|foltern|folter|verstumm*|enthaupt*|kopfen|zerstuck*|ausweid*|hauten|"
		"qualen|zu tode|tortur*|demembr*|mutil*|decapit*|eventr*|depec*|egorg*|desmembr*|decapit*|degoll*|descuartiz*|despelleja*|esquartej*|degol*|estripa*|smembr*|mutil*|sgozz*|sventr*|scuoi*|seviz*|squart*"),
	W(MASSACRE, "", "mass shooting|school shooting|shoot up|massacre|terror attack|terrorist attack|mass murder|bombing|suicide bombing|mass casualty|mass casualties|kill as many|as many people as possible|amoklauf|massaker|terroranschlag|anschlag|"
		"massenmord|moglichst viele|attentat|tuerie|fusillade|massacre|attaque terroriste|un maximum de|tiroteo|matanza|masacre|atentado|ataque terrorista|mayor numero de|massacre|chacina|tiroteio|atentado|ataque terrorista|maior numero de|"
		"sparatoria|massacro|strage|attentato|attacco terroristico|piu persone possibile|maggior numero"),
	W(BENIGN, "en", "protect*|prevent*|detect|detecting|detection|defend*|defence|defense|awareness|secure|treat|treatment|history|historical|museum|documentary|law|legal|research|article|news|statistics|recover*|report|reporting|education*|lesson|symptom*|"
		"antidote|therapy|therapist|hotline|helpline|counsel*|remove|removal|survivor*|novel|film|movie|essay|my friend|support|spot|recognize|recognise|avoid|policy|policies|training|moderat*|quote|quoted|meaning of|what does|the word|philosoph*|vaccin*|scene|theme|themes|"
		"video game|chess|process|unit test|thesis|lecture|explain why|why did|why do|summarize|summary|translate|impact of|effects of|how did|dangers of|risks of|first aid|treated|disarm*|defus*|bath|calorimeter|cake|garden*|weeds|aphids|mold|ants|mice|moths|mosquito*"),
	W(BENIGN, "de", "schutz*|vorbeug*|verhinder*|erkenn*|abwehr*|aufklar*|sicher|behandl*|geschichte|historisch*|museum|dokumentation|gesetz*|recht|forschung|artikel|nachrichten|statistik*|unterricht|symptom*|gegenmittel|therap*|beratung|entfern*|"
		"uberlebende*|roman|film|aufsatz|unterstutz*|vermeid*|richtlinie*|schulung|bedeutet|warum|zusammenfass*|ubersetz*|auswirkung*|folgen von|gefahren|risiken|erste hilfe|impf*|entscharf*|referat|hausarbeit|prozess|garten|badebombe*|unkraut|blattlaus*"),
	W(BENIGN, "fr", "proteg*|protection|preven*|detect*|defend*|defense|sensibilis*|securis*|traiter|traitement|histoire|historique|musee|documentaire|loi|legal*|recherche|article|actualites|statistique*|cours|symptome*|antidote|therap*|aide|soutenir|soutien|"
		"retirer|suppression|survivant*|roman|film|essai|eviter|politique|formation|signifie|pourquoi|resume*|traduire|impact|effets de|dangers|risques|premiers secours|vaccin*|desamorc*|expose|memoire|processus|jardin|pucerons|mauvaises herbes|reconnaitre"),
	W(BENIGN, "es", "proteg*|proteccion|preven*|detect*|defend*|defensa|concienc*|segur*|tratar|tratamiento|historia|historic*|museo|documental|ley|legal*|investigacion|articulo|noticias|estadistica*|clase|sintoma*|antidoto|terap*|ayudar|apoyar|apoyo|"
		"eliminar el|sobreviviente*|superviviente*|novela|pelicula|ensayo|evitar|politica|capacitacion|formacion|significa|por que|resume|resumen|traducir|impacto|efectos|peligros|riesgos|primeros auxilios|vacuna*|desactivar|proceso|jardin|malas hierbas|"
		"pulgones|reconocer"),
	W(BENIGN, "pt", "proteg*|protecao|preven*|detect*|defend*|defesa|conscientiz*|segur*|tratar|tratamento|historia|historic*|museu|documentario|lei|legal*|pesquisa|artigo|noticias|estatistica*|aula|sintoma*|antidoto|terap*|ajudar|apoiar|apoio|"
		"sobrevivente*|romance|filme|redacao|ensaio|evitar|politica|treinamento|significa|por que|resuma|resumo|traduzir|impacto|efeitos|perigos|riscos|primeiros socorros|vacina*|desarmar|processo|jardim|ervas daninhas|pulgoes|reconhecer|identificar"),
	W(BENIGN, "it", "protegg*|protezione|preven*|rilev*|difend*|difesa|sensibilizz*|sicur*|curare|trattamento|storia|storic*|museo|documentario|legge|legal*|ricerca|articolo|notizie|statistic*|lezione|sintom*|antidoto|terap*|aiutare|sostenere|sostegno|supporto|"
		"sopravvissut*|romanzo|film|saggio|evitare|politica|formazione|significa|perche|riassumi|riassunto|tradurre|impatto|effetti|pericoli|rischi|primo soccorso|vaccin*|disinnesc*|processo|giardino|erbacce|afidi|riconoscere"),
};
/* clang-format on */

const int tz_lexicon_count = (int) (sizeof(tz_lexicon) / sizeof(tz_lexicon[0]));
